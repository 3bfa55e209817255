// What the article's page did: connect, request, see the replies.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { latest, permit, responseIn } from './browser.mjs';
import { TOKEN } from './program.mjs';
import { useSite } from './site.mjs';

const site = useSite();

test('connect, request, and everything the article showed', async () => {
  const page = await site.open({ route: '/control' });
  await permit(page, TOKEN);
  await page.goto(`${site.url}/#/`);
  const links = page.getByRole('region', { name: 'Links' });
  await page.getByRole('button', { name: 'Disconnect' }).click();
  await links.getByText('disconnected', { exact: true }).first().waitFor();
  await page.getByRole('button', { name: 'Connect', exact: true }).click();
  await links.getByText('connected', { exact: true }).first().waitFor();
  await page.getByRole('button', { name: 'Send request' }).click();
  await responseIn(latest(page).first()).click();
  const sheet = page.getByRole('dialog');
  for (const fact of ['Request id', 'Message id', 'Requester id', 'Responder id', 'Delay']) {
    const value = sheet.locator('dt', { hasText: new RegExp(`^${fact}$`) }).locator('+ dd');
    assert.notEqual((await value.textContent()).trim(), '', fact);
  }
  assert.notEqual((await sheet.locator('pre').textContent()).trim(), '');
  await page.keyboard.press('Escape');
  await sheet.waitFor({ state: 'detached' });
  await page.finish();
});

test('replies appear one by one, before the last is in', async () => {
  const page = await site.open();
  const seen = await page.evaluate(async () => {
    const button = [...document.querySelectorAll('button')].find((one) => one.textContent === 'Send request');
    const known = document.querySelector('.live-latest .request h3 code')?.title;
    button.click();
    const counts = new Set();
    for (const end = performance.now() + 10_000; performance.now() < end;) {
      const request = document.querySelector('.live-latest .request');
      if (request && request.querySelector('h3 code').title !== known) {
        counts.add(request.querySelectorAll('.line.is-response').length);
        if (request.classList.contains('is-complete')) break;
      }
      await new Promise(requestAnimationFrame);
    }
    return [...counts];
  });
  assert.ok(seen.includes(3) && (seen.includes(1) || seen.includes(2)), `counts seen: ${seen}`);
  await page.finish();
});

test('a burst arrives whole and the ledger balances', async () => {
  const page = await site.open({ route: '/control' });
  await permit(page, TOKEN);
  await page.goto(`${site.url}/#/`);
  const figure = async (key) => Number((await page.locator(`.ledger .is-${key} dd`).textContent()).replaceAll(',', ''));
  await page.locator('.ledger .is-inFlight dd', { hasText: /^0$/ }).waitFor();
  const sent = await figure('sent');
  await page.getByText('Burst', { exact: true }).click();
  await page.getByLabel('requests at once').fill('10');
  await page.getByRole('button', { name: 'Send burst' }).click();
  await page.locator('.ledger .is-sent dd', { hasText: new RegExp(`^${sent + 30}$`) }).waitFor();
  await page.locator('.ledger .is-inFlight dd', { hasText: /^0$/ }).waitFor({ timeout: 30_000 });
  await page.getByText('✓ balanced').waitFor();
  await page.finish();
});

test('a steady rate goes on until it is stopped, also from another page', async () => {
  const [page, other] = await Promise.all([1, 2].map(() => site.open({ route: '/control' })));
  for (const one of [page, other]) {
    await permit(one, TOKEN);
    await one.goto(`${site.url}/#/`);
  }
  await page.getByText('Steady', { exact: true }).click();
  await page.getByLabel('requests a second').fill('2');
  await page.getByRole('button', { name: 'Start' }).click();
  for (const one of [page, other]) await one.locator('.running', { hasText: /[2-9] sent/ }).waitFor();
  await other.getByRole('button', { name: 'Stop' }).click();
  for (const one of [page, other]) await one.locator('.running').waitFor({ state: 'detached' });
  await page.finish();
  await other.finish();
});
