// For everybody: by keyboard alone, in every theme, on every screen.
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { assertAccessible, ended, instancesIn, latest, responseIn } from './browser.mjs';
import { useSite } from './site.mjs';

const ROUTES = ['/', '/requests', '/charts', '/control', '/experiments'];
const IMAGES = fileURLToPath(new URL('../../docs/images/', import.meta.url));
const PHONE = { width: 390, height: 844 };

const site = useSite({}, async ({ open }) => {
  const page = await open();
  await page.getByRole('button', { name: 'Send request' }).click();
  await ended(latest(page)).first().waitFor();
  await page.finish();
});

for (const colorScheme of ['light', 'dark']) {
  for (const route of ROUTES) {
    test(`axe finds nothing: ${route}, ${colorScheme}`, async () => {
      const page = await site.open({
        route,
        colorScheme,
        bypassCSP: true,
        reducedMotion: 'reduce',
      });
      await assertAccessible(page, route);
      await page.setViewportSize(PHONE);
      await assertAccessible(page, `${route} on a phone`);
      await page.finish();
    });
  }
}

test('axe finds nothing in the sheets', async () => {
  const page = await site.open({ bypassCSP: true, reducedMotion: 'reduce' });
  for (const [what, opener] of [
    ['a reply', responseIn(latest(page).last())],
    ['an instance', instancesIn(page).last()],
  ]) {
    await opener.click();
    await page.getByRole('dialog').waitFor();
    await assertAccessible(page, what);
    await page.keyboard.press('Escape');
  }
  await page.finish();
});

test('send, look and leave by keyboard alone', async () => {
  const page = await site.open();
  const focused = () => page.evaluate(() => document.activeElement?.textContent ?? '');
  const reach = async (wanted) => {
    for (let step = 0; step < 80; step += 1) {
      await page.keyboard.press('Tab');
      if (wanted.test(await focused())) return;
    }
    assert.fail(`no Tab reaches ${wanted}`);
  };
  await reach(/Skip to the content/);
  await reach(/^Send request$/);
  await page.keyboard.press('Enter');
  await page.getByText(/^Sent /).waitFor();
  await responseIn(latest(page).first()).waitFor();
  await reach(/response/);
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  const first = instancesIn(page).first();
  await first.focus();
  await page.keyboard.press('ArrowRight');
  assert.notEqual(await focused(), await first.textContent());
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.finish();
});

for (const [name, options] of [
  ['dashboard-light', {}],
  ['dashboard-dark', { colorScheme: 'dark' }],
  ['dashboard-phone', { viewport: PHONE, deviceScaleFactor: 2 }],
]) {
  test(`a picture for the documentation: ${name}`, async () => {
    await mkdir(IMAGES, { recursive: true });
    const page = await site.open(options);
    await page.getByRole('button', { name: 'Send request' }).click();
    const id = /Sent (\w+)/.exec(await page.getByText(/^Sent /).textContent())[1];
    await responseIn(latest(page).filter({ hasText: id })).waitFor();
    await page.screenshot({ path: `${IMAGES}${name}.png` });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, `${overflow} pixels too wide`);
    await page.finish();
  });
}
