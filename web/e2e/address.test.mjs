// The address is the state of the interface: what it shows can be linked to, and Back undoes the last step.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { responseIn } from './browser.mjs';
import { useSite } from './site.mjs';

const site = useSite({ 'task.delay.kind': 'none' });

const ask = async () => {
  const headers = { 'Content-Type': 'application/json' };
  const body = JSON.stringify({ task: 'echo', wait: true });
  return (await fetch(`${site.url}/api/v1/requests`, { method: 'POST', headers, body })).json();
};

const heading = (page, title) => page.getByRole('heading', { level: 1, name: title }).waitFor({ state: 'attached' });

test('Back closes a sheet and leaves the view, and the sheet has a link', async () => {
  await ask();
  const page = await site.open();
  await page.getByRole('navigation').getByRole('link', { name: 'Requests' }).click();
  await responseIn(page).click();
  const sheet = page.getByRole('dialog');
  await sheet.getByText('Message id').waitFor();
  const link = new URL(page.url()).hash.slice(1);
  await page.goBack();
  await sheet.waitFor({ state: 'detached' });
  await heading(page, 'Requests');
  await page.goForward();
  await sheet.waitFor();
  await page.keyboard.press('Escape');
  await sheet.waitFor({ state: 'detached' });
  await page.goBack();
  await heading(page, 'Live');
  const there = await site.open({ route: link });
  await there.getByRole('dialog').getByText('Message id').waitFor();
  await there.keyboard.press('Escape');
  await there.getByRole('dialog').waitFor({ state: 'detached' });
  await heading(there, 'Requests');
  await there.finish();
  await page.finish();
});

test('the sheet of a request that is not in the page loads it', async () => {
  const { requestId, replies } = await ask();
  const { messageId } = replies[0];
  // As one that did not fit into the snapshot.
  const prepare = (page) =>
    page.routeWebSocket(/\/ws$/, (socket) => {
      const server = socket.connectToServer();
      server.onMessage((text) => {
        const message = JSON.parse(text);
        socket.send(JSON.stringify(message.type === 'snapshot' ? { ...message, requests: [] } : message));
      });
    });
  const page = await site.open({ route: `/?request=${requestId}&message=${messageId}`, prepare });
  const sheet = page.getByRole('dialog');
  await sheet.getByRole('button', { name: 'Load it' }).click();
  await sheet.getByRole('heading', { name: 'Response' }).waitFor();
  await page.finish();
});

test('a filter has a link, and typing it makes no history', async () => {
  await ask();
  const page = await site.open();
  await page.getByRole('navigation').getByRole('link', { name: 'Requests' }).click();
  await page.getByLabel('Outcome').selectOption('error');
  await page.getByLabel('Worker').pressSequentially('abc');
  const there = await site.open({ route: new URL(page.url()).hash.slice(1) });
  assert.equal(await there.getByLabel('Worker').inputValue(), 'abc');
  assert.equal(await there.getByLabel('Outcome').inputValue(), 'error');
  await there.finish();
  await page.goBack();
  await heading(page, 'Live');
  await page.finish();
});

test('a view begins at its top, and is where it was when one comes back', async () => {
  for (let n = 0; n < 20; n += 1) await ask();
  const page = await site.open({ route: '/requests' });
  await page.evaluate(() => scrollTo(0, 500));
  await page.getByRole('navigation').getByRole('link', { name: 'Charts' }).click();
  await heading(page, 'Charts');
  assert.equal(await page.evaluate(() => scrollY), 0);
  await page.goBack();
  await heading(page, 'Requests');
  await page.waitForFunction(() => scrollY === 500);
  await page.finish();
});
