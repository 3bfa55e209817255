// A recording is played: paused, slowed, gone through; and nothing is controlled by it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import WebSocket from 'ws';
import { startBrowser } from './browser.mjs';
import { useSite } from './site.mjs';

const site = useSite({ 'task.delay.kind': 'none' });

/** Records what the server sends while a request is made. */
async function record() {
  const socket = new WebSocket(`${site.url.replace('http', 'ws')}/ws`);
  const lines = [];
  socket.on('message', (text) => lines.push(String(text)));
  await once(socket, 'message');
  const headers = { 'Content-Type': 'application/json' };
  const body = JSON.stringify({ task: 'echo', wait: true });
  await fetch(`${site.url}/api/v1/requests`, { method: 'POST', headers, body });
  while (!lines.some((line) => line.includes('"outcome"'))) await once(socket, 'message');
  socket.terminate();
  return lines.join('\n');
}

test('a recording is played, and gone through', async () => {
  const recording = await record();
  const browser = await startBrowser();
  const page = await browser.newPage();
  await page.route('**/recording.ndjson', (route) => route.fulfill({ body: recording }));
  await page.goto(`${site.url}/?recording=recording.ndjson`);
  const bar = page.getByRole('group', { name: 'Recording' });
  await bar.getByRole('button', { name: 'Play' }).waitFor();
  const latest = page.getByRole('region', { name: 'Latest requests' });
  await latest.getByText('3 responses').waitFor();
  const start = JSON.parse(recording.split('\n')[0]).now;
  await bar.getByRole('slider', { name: 'Time' }).fill(String(start));
  await latest.getByText('No request yet').waitFor();
  await bar.getByLabel('Speed').selectOption({ label: '× 0.25' });
  await bar.getByRole('button', { name: 'Play' }).click();
  await latest.getByText('3 responses').waitFor();
  for (const name of ['Send request', 'Connect']) assert.ok(await page.getByRole('button', { name, exact: true }).isDisabled(), name);
  await page.getByRole('navigation').getByRole('link', { name: 'Control' }).click();
  await page.getByText('This is a recording').waitFor();
  assert.ok(await page.getByRole('button', { name: 'Panic' }).isDisabled());
  await browser.close();
});

test('a file that is no recording is refused with its line', async () => {
  const browser = await startBrowser();
  const page = await browser.newPage();
  await page.route('**/other.ndjson', (route) => route.fulfill({ body: 'no' }));
  await page.goto(`${site.url}/?recording=other.ndjson`);
  await page.getByText('Line 1 of the recording is not JSON').waitFor();
  await browser.close();
});
