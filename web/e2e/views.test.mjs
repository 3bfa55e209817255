// What the views show, and what is remembered.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connected, ended, latest, permit, responseIn } from './browser.mjs';
import { TOKEN } from './program.mjs';
import { useSite } from './site.mjs';

const site = useSite({ 'task.delay.kind': 'none', 'telemetry.events_per_second': 100_000 });

const ask = async (request) => {
  const body = JSON.stringify({ ...request, wait: true });
  const headers = { 'Content-Type': 'application/json' };
  return (await fetch(`${site.url}/api/v1/requests`, { method: 'POST', headers, body })).json();
};

/** How many requests are listed. */
const listed = (page) => page.getByRole('form', { name: 'Filter' }).getByRole('status');

test('every view has a link, and an address that names none shows the first', async () => {
  const page = await site.open();
  for (const title of ['Requests', 'Charts', 'Control', 'Live']) {
    await page.getByRole('navigation').getByRole('link', { name: title }).click();
    await page.getByRole('heading', { level: 1, name: title }).waitFor({ state: 'attached' });
    assert.match(await page.title(), new RegExp(`Idle · ${title} · swarmq`));
    const there = await site.open({ route: new URL(page.url()).hash.slice(1) });
    await there.getByRole('heading', { level: 1, name: title }).waitFor({ state: 'attached' });
    await there.finish();
  }
  await page.goto(`${site.url}/#/nowhere/%`);
  await page.getByRole('heading', { level: 1, name: 'Live' }).waitFor({ state: 'attached' });
  await page.finish();
});

test('requests are filtered by outcome, node and worker', async () => {
  const good = await ask({ task: 'echo', fanOut: 'one' });
  const bad = await ask({ task: 'cpu', parameters: { rounds: 'many' }, fanOut: 'one' });
  const page = await site.open({ route: '/requests' });
  const rows = page.getByRole('article');
  const shown = async (count) => {
    await listed(page).filter({ hasText: new RegExp(`^${count} `) }).waitFor();
    assert.equal(await rows.count(), count);
  };
  await shown(2);
  await page.getByLabel('Outcome').selectOption('error');
  await shown(1);
  await rows.filter({ hasText: bad.requestId.slice(0, 8) }).waitFor();
  await page.getByLabel('Outcome').selectOption('response');
  await rows.filter({ hasText: good.requestId.slice(0, 8) }).waitFor();
  await page.getByLabel('Outcome').selectOption('timeout');
  await page.getByText('No request matches').waitFor();
  await page.getByRole('button', { name: 'Show all' }).click();
  await shown(2);
  await page.getByLabel('Node').selectOption(good.replies[0].node);
  await shown(2);
  await page.getByLabel('Worker').fill(String(good.replies[0].responderId));
  await rows.filter({ hasText: good.requestId.slice(0, 8) }).waitFor();
  await page.getByRole('navigation').getByRole('link', { name: 'Charts' }).click();
  await page.getByRole('navigation').getByRole('link', { name: 'Requests' }).click();
  assert.equal(await page.getByLabel('Worker').inputValue(), String(good.replies[0].responderId));
  await page.finish();
});

test('a reply is copied, and a long one is loaded whole when it is asked for', async () => {
  const payload = `${'x'.repeat(20_000)}.`;
  const { requestId } = await ask({ task: 'echo', parameters: { payload }, fanOut: 'one' });
  const permissions = ['clipboard-read', 'clipboard-write'];
  const page = await site.open({ route: '/requests', permissions });
  await responseIn(page.getByRole('article').filter({ hasText: requestId.slice(0, 8) })).click();
  const sheet = page.getByRole('dialog');
  const copied = async (name) => {
    const button = sheet.getByRole('button', { name, exact: true });
    await button.click();
    await button.getByText('Copied').waitFor();
    return page.evaluate(() => navigator.clipboard.readText());
  };
  assert.equal(await copied('Copy the request id'), requestId);
  await sheet.getByText('The first 16,384 characters of 20,001 bytes').waitFor();
  await sheet.getByRole('button', { name: 'Load the whole' }).click();
  await sheet.getByText('The first 16,384').waitFor({ state: 'detached' });
  assert.equal(await copied('Copy the content'), payload);
  await page.finish();
});

test('the theme is chosen, and remembered', async () => {
  const page = await site.open({ colorScheme: 'dark' });
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await ground();
  await page.getByLabel('Theme').selectOption('light');
  const light = await ground();
  assert.notEqual(light, dark);
  await page.reload();
  await connected(page);
  assert.equal(await ground(), light);
  await page.getByLabel('Theme').selectOption('dark');
  assert.equal(await ground(), dark);
  await page.finish();
});

test('nothing moves where the system asks for less motion', async () => {
  const page = await site.open({ reducedMotion: 'reduce' });
  await page.getByRole('button', { name: 'Send request' }).click();
  await ended(latest(page)).first().waitFor();
  const moving = await page.evaluate(() =>
    document.getAnimations().filter(({ effect }) => effect.getComputedTiming().duration > 10).map(String),
  );
  assert.deepEqual(moving, []);
  await page.finish();
});

test('the last thousand requests are kept', async () => {
  const page = await site.open({ route: '/control' });
  await permit(page, TOKEN);
  await page.goto(`${site.url}/#/`);
  await page.getByText('Burst', { exact: true }).click();
  await page.getByText('Task, fan-out, timeout').click();
  await page.getByRole('form', { name: 'Send' }).getByLabel('Task').selectOption('echo');
  await page.getByLabel('requests at once').fill('600');
  const figure = (key) => page.locator(`.ledger .is-${key} dd`);
  for (let left = 2; left > 0; left -= 1) {
    const sent = Number((await figure('sent').textContent()).replaceAll(',', ''));
    await page.getByRole('button', { name: 'Send burst' }).click();
    await figure('sent').filter({ hasText: (sent + 1_800).toLocaleString('en') }).waitFor();
    await figure('inFlight').filter({ hasText: /^0$/ }).waitFor();
  }
  await page.goto(`${site.url}/#/requests`);
  await listed(page).filter({ hasText: /^1,000 requests$/ }).waitFor();
  assert.ok((await page.getByRole('article').count()) < 60, 'rows are made as they come into sight');
  await page.finish();
});

test('the picture follows the density of the screen', async () => {
  const page = await site.open();
  const devtools = await page.context().newCDPSession(page);
  // Of another height too: the browser tells a page of no other change that is pretended.
  const screen = (deviceScaleFactor) =>
    devtools.send('Emulation.setDeviceMetricsOverride', { width: 1440, height: 900 + deviceScaleFactor, deviceScaleFactor, mobile: false });
  const drawn = (density) =>
    page.waitForFunction((wanted) => {
      const { width, clientWidth } = document.querySelector('canvas[data-layer=marks]');
      return width === wanted * clientWidth;
    }, density);
  await screen(1);
  await drawn(1);
  await screen(2);
  await drawn(2);
  await page.finish();
});
