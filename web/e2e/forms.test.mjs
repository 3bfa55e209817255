// Forms keep what a person is typing, and nothing changes the deployment before Apply.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instancesIn, permit } from './browser.mjs';
import { TOKEN } from './program.mjs';
import { useSite } from './site.mjs';

const site = useSite();

async function call(method, path, body) {
  const headers = { Authorization: `Bearer ${TOKEN}`, ...(body && { 'Content-Type': 'application/json' }) };
  const response = await fetch(`${site.url}/api/v1/${path}`, { method, headers, body: body && JSON.stringify(body) });
  assert.ok(response.ok, path);
  return response.json();
}

async function responder() {
  const { instances } = await call('GET', 'topology');
  return Object.values(instances).find(({ instance }) => instance.tier === 'responder');
}

async function openControl() {
  const page = await site.open({ route: '/control' });
  await permit(page, TOKEN);
  return page;
}

/** Waits until a field shows a text. */
const shows = async (field, text) =>
  field.page().waitForFunction(([input, wanted]) => input.value === wanted, [await field.elementHandle(), text]);

test('fractions are typed key by key, and set as they were typed', async () => {
  const page = await openControl();
  const field = page.getByLabel('Errors, %');
  for (const text of ['1.5', '0.5', '7']) {
    await field.fill('');
    await field.pressSequentially(text);
    assert.equal(await field.inputValue(), text);
  }
  await page.getByRole('button', { name: 'Set faults' }).click();
  await page.getByText(/^Set on /).waitFor();
  await page.getByRole('region', { name: 'Faults that are set' }).getByText('7 % of replies are errors').waitFor();
  assert.equal(await field.inputValue(), '7');
  await call('DELETE', 'control/faults');
  await page.finish();
});

test('a number that is being changed stays, whatever happens to its instance', async () => {
  const page = await openControl();
  const field = page.getByRole('spinbutton', { name: /^Number of workers of responder/ });
  const mean = page.getByRole('region', { name: 'Delay' }).getByLabel('Longest, ms');
  await field.fill('12');
  await mean.fill('1234.5');
  const { instance } = await responder();
  await call('PUT', `control/instances/${encodeURIComponent(instance.id)}/workers`, { workers: 5 });
  await call('PUT', 'control/delay', { kind: 'uniform', minMs: 100, maxMs: 900, meanMs: 0, sigma: 0.5 });
  await shows(page.getByRole('region', { name: 'Delay' }).getByLabel('Shortest, ms'), '100');
  assert.equal(await field.inputValue(), '12');
  assert.equal(await mean.inputValue(), '1234.5');
  // Applied, it is what is set, and follows that again.
  const form = page.getByRole('form', { name: /^Workers of responder/ });
  await form.getByRole('button', { name: 'Apply' }).click();
  await page.getByText('12 workers asked for').waitFor();
  await form.getByRole('button', { name: 'Apply', disabled: true }).waitFor();
  await call('PUT', `control/instances/${encodeURIComponent(instance.id)}/workers`, { workers: 3 });
  await shows(field, '3');
  await page.finish();
});

test('arrow keys choose a dispatch, and Apply alone sets it', async () => {
  const page = await openControl();
  const calls = [];
  page.on('request', (request) => request.method() !== 'GET' && calls.push(request.url()));
  const dispatch = page.getByRole('region', { name: 'Dispatch' });
  await dispatch.getByRole('radio', { checked: true }).focus();
  await page.keyboard.press('ArrowRight');
  await dispatch.getByRole('radio', { name: 'Least busy', checked: true }).waitFor({ state: 'attached' });
  assert.deepEqual(calls, []);
  await dispatch.getByRole('button', { name: 'Apply' }).click();
  await page.getByText('The dispatch is set on every broker').waitFor();
  assert.equal(calls.length, 1);
  await page.finish();
});

test('a selection that ends beside a sheet leaves it open, and a click beside it closes it', async () => {
  const page = await site.open();
  await instancesIn(page).last().click();
  const sheet = page.getByRole('dialog');
  const { x, y } = await sheet.getByRole('heading').first().boundingBox();
  await page.mouse.move(x + 5, y + 5);
  await page.mouse.down();
  await page.mouse.move(20, y + 40, { steps: 4 });
  await page.mouse.up();
  assert.ok(await sheet.isVisible());
  await page.mouse.click(20, y + 40);
  await sheet.waitFor({ state: 'detached' });
  await page.finish();
});
