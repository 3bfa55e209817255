// The WebSocket: lost, late, and what it must never lead to.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connected } from './browser.mjs';
import { startProgram } from './program.mjs';
import { useSite } from './site.mjs';

const site = useSite();

test(
  'the page resumes without a reload after the server was away',
  { skip: Boolean(process.env.SWARMQ_URL) },
  async () => {
    const page = await site.open();
    await page.evaluate(() => (window.sameDocument = true));
    const port = new URL(site.url).port;
    await site.program.stop();
    await page.getByText('The connection to the server is lost').waitFor();
    assert.match(await page.title(), /Connection lost/);
    site.program = await startProgram(port);
    await connected(page);
    await page.locator('.banner').waitFor({ state: 'detached' });
    await page.locator('.links .is-connected').first().waitFor();
    await page.getByRole('button', { name: 'Send request' }).click();
    await page.locator('.live-latest .request.is-complete').first().waitFor();
    assert.ok(await page.evaluate(() => window.sameDocument));
    await page.finish();
  },
);

/** Lets every message from the server pass through `change`; what it gives back is sent on, `undefined` is left out. */
const through = (change) => (page) =>
  page.routeWebSocket(/\/ws$/, (socket) => {
    const server = socket.connectToServer();
    server.onMessage((text) => {
      const message = change(JSON.parse(text));
      if (message) socket.send(JSON.stringify(message));
    });
  });

/** Loses as many batches of events as are left to lose: the page then starts over with a snapshot. */
function withoutSome(message, missing) {
  if (message.type !== 'events' || missing.left === 0) return message;
  missing.left -= 1;
  return undefined;
}

test('a page that missed something starts over with a snapshot', { timeout: 60_000 }, async () => {
  const missing = { left: 1 };
  let snapshots = 0;
  let startOver;
  const startedOver = new Promise((resolve) => (startOver = resolve));
  const prepare = through((message) => {
    if (message.type === 'snapshot' && (snapshots += 1) === 2) startOver();
    return withoutSome(message, missing);
  });
  const page = await site.open({ prepare });
  await page.evaluate(() => (window.sameDocument = true));
  await startedOver;
  await connected(page);
  await page.getByRole('button', { name: 'Send request' }).click();
  await page.locator('.live-latest .request.is-complete').first().waitFor();
  assert.ok(await page.evaluate(() => window.sameDocument));
  assert.equal(snapshots, 2);
  await page.finish();
});

test('a ledger that does not balance is red, and the title says it', async () => {
  let unbalanced = [];
  const miscounted = (figures) => Object.assign(figures.tiers[1], { balanced: unbalanced.length === 0, unbalanced });
  const prepare = through((message) => {
    if (message.type === 'snapshot') miscounted(message.figures);
    else message.events.forEach((event) => event.type === 'figures' && miscounted(event.figures));
    return message;
  });
  const page = await site.open({ prepare });
  await page.getByText('✓ balanced').waitFor();
  unbalanced = ['requester-1'];
  await page.getByRole('button', { name: 'Send request' }).click();
  await page.locator('.ledger.is-off', { hasText: 'does not balance: requester-' }).waitFor();
  assert.match(await page.title(), /Ledger off/);
  await page.finish();
});

/** The id of a page that is newer than any. */
const NEWER = '999.0.0+newer';

test('a page that is older than its server is reloaded once, then by its button', async () => {
  let loads = 0;
  const prepare = async (page) => {
    page.on('load', () => (loads += 1));
    await through((message) => (message.type === 'snapshot' ? { ...message, page: NEWER } : message))(page);
  };
  const page = await site.open({ prepare });
  const reload = page.getByRole('button', { name: 'Reload' });
  await reload.waitFor();
  assert.equal(loads, 2);
  const loaded = page.waitForEvent('load');
  await reload.click();
  await loaded;
  await reload.waitFor();
  assert.equal(loads, 3);
  await page.finish();
});

test('a page is not reloaded while somebody types', async () => {
  let served;
  const missing = { left: 0 };
  const prepare = through((message) => {
    if (message.type === 'snapshot' && served) return { ...message, page: served };
    return withoutSome(message, missing);
  });
  const page = await site.open({ prepare });
  await page.evaluate(() => (window.sameDocument = true));
  await page.getByText('Task, fan-out, timeout').click();
  const field = page.getByLabel('Parameters, as JSON');
  await field.fill('{"payload": "hel');
  [served, missing.left] = [NEWER, 1];
  await page.getByText('another version of swarmq').waitFor();
  assert.equal(await field.inputValue(), '{"payload": "hel');
  assert.ok(await page.evaluate(() => window.sameDocument));
  await field.fill('');
  const loaded = page.waitForEvent('load');
  await page.getByRole('button', { name: 'Send request' }).click();
  missing.left = 1;
  await loaded;
  await page.finish();
});
