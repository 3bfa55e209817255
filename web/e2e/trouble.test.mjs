// When something goes wrong: a worker, an instance, the server itself.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instancesIn, latest, permit } from './browser.mjs';
import { TOKEN } from './program.mjs';
import { useSite } from './site.mjs';

const site = useSite();

const faultsOf = (page) => page.getByRole('region', { name: 'Faults that are set' });

test('controls are off without the token, and say so', async () => {
  const page = await site.open({ route: '/control' });
  await page.getByText('Controls are not permitted without the token').waitFor();
  assert.ok(await page.getByRole('button', { name: 'Panic' }).isDisabled());
  await page.getByPlaceholder('control token').fill('wrong');
  await page.getByRole('button', { name: 'Use token' }).click();
  await page.getByText('the token is wrong').waitFor();
  await page.goto(`${site.url}/#/`);
  await page.getByText('Steady', { exact: true }).click();
  await page.getByText('Bursts and steady rates need the control token').waitFor();
  assert.ok(await page.getByRole('button', { name: 'Start' }).isDisabled());
  await page.getByText('Disconnections need the control token').waitFor();
  assert.ok(await page.getByRole('button', { name: 'Disconnect' }).isDisabled());
  assert.ok(await page.getByRole('button', { name: 'Connect', exact: true }).isEnabled());
  await page.getByText('One', { exact: true }).click();
  assert.ok(await page.getByRole('button', { name: 'Send request' }).isEnabled());
  await page.goto(`${site.url}/#/control`);
  await page.getByPlaceholder('control token').fill('pässword€');
  await page.getByRole('button', { name: 'Use token' }).click();
  await page.getByText('No token has the character').waitFor();
  await page.finish();
});

test('a worker panics and its restart is seen', async () => {
  const page = await site.open({ route: '/control' });
  await permit(page, TOKEN);
  await page.getByRole('button', { name: 'Panic' }).click();
  await page.getByText(/panics; its supervisor restarts it/).waitFor();
  await page.getByText(/^[1-9]\d* restarts? in /).waitFor();
  await page.finish();
});

test('workers come and go', async () => {
  const page = await site.open({ route: '/control' });
  await permit(page, TOKEN);
  const responders = page.locator('.tier-workers').last();
  for (const [button, workers] of [
    ['More', 4],
    ['Fewer', 3],
  ]) {
    await responders.getByRole('button', { name: button }).first().click();
    await responders.getByRole('button', { name: 'Apply' }).first().click();
    await responders.getByText(`${workers} workers asked for`).waitFor();
    await page.goto(`${site.url}/#/`);
    await page.locator('.tier', { hasText: 'Responders' }).getByText(`of ${workers} workers`).waitFor();
    await page.goto(`${site.url}/#/control`);
  }
  await page.finish();
});

/** Sends a request and gives its row. */
async function send(page) {
  await page.goto(`${site.url}/#/`);
  const status = page.getByRole('form', { name: 'Send' }).getByRole('status');
  const before = await status.textContent();
  await page.getByRole('button', { name: 'Send request' }).click();
  const said = status.filter({ hasText: 'Sent' }).and(page.locator(`:not(:text-is("${before}"))`));
  const id = /Sent (\w+)/.exec(await said.textContent())[1];
  return latest(page).filter({ hasText: id });
}

async function endsWith(page, outcome) {
  const request = await send(page);
  await request.filter({ hasText: outcome }).waitFor();
}

async function backToNormal(page) {
  await page.goto(`${site.url}/#/control`);
  await page.getByRole('button', { name: 'Everything back to normal' }).click();
  await page.getByText('Everything is back to normal').waitFor();
  await faultsOf(page).waitFor({ state: 'detached' });
}

for (const [name, set, said] of [
  ['errors', (page) => page.getByLabel('Errors, %').fill('100'), '100 % of replies are errors'],
  [
    'an instance that answers healthy but fails',
    (page) => page.getByLabel('Answers healthy but fails').check(),
    'answers healthy but fails',
  ],
]) {
  test(`a fault is set, felt and cleared: ${name}`, async () => {
    const page = await site.open({ route: '/control' });
    await permit(page, TOKEN);
    await set(page);
    await page.getByRole('button', { name: 'Set faults' }).click();
    await faultsOf(page).filter({ hasText: said }).waitFor();
    await endsWith(page, '3 errors');
    await instancesIn(page).filter({ hasText: 'with faults set' }).waitFor();
    await backToNormal(page);
    await endsWith(page, '3 responses');
    await page.finish();
  });
}

for (const [name, set, said, replies] of [
  [
    'latency',
    async (page) => {
      await page.getByLabel('Extra latency, ms').fill('600000');
      await page.getByRole('button', { name: 'Set faults' }).click();
    },
    '10 min slower',
    0,
  ],
  [
    'a stalled worker',
    async (page) => {
      await page.getByLabel('Stall, ms').fill('600000');
      await page.getByRole('button', { name: 'Stall' }).click();
    },
    'worker 0 stalls',
    2,
  ],
]) {
  test(`what a fault holds up goes on when it is cleared: ${name}`, async () => {
    const page = await site.open({ route: '/control' });
    await permit(page, TOKEN);
    await set(page);
    await faultsOf(page).filter({ hasText: said }).waitFor();
    const request = await send(page);
    await request.filter({ hasText: `${replies} of 3` }).waitFor();
    await backToNormal(page);
    await page.goto(`${site.url}/#/`);
    await request.filter({ hasText: '3 responses' }).waitFor();
    await page.finish();
  });
}

test('delay and dispatch are changed', async () => {
  const page = await site.open({ route: '/control' });
  await permit(page, TOKEN);
  const delay = page.getByRole('region', { name: 'Delay' });
  await delay.getByLabel('Distribution').selectOption('fixed');
  await delay.getByLabel('Mean, ms').fill('40');
  await delay.getByRole('button', { name: 'Apply' }).click();
  await delay.getByText('The delay is set on every responder').waitFor();
  const dispatch = page.getByRole('region', { name: 'Dispatch' });
  await dispatch.getByText('Least busy').click();
  // Nothing is changed by a choice alone.
  assert.ok(await dispatch.getByRole('button', { name: 'Apply' }).isEnabled());
  await dispatch.getByRole('button', { name: 'Apply' }).click();
  await page.getByText('The dispatch is set on every broker').waitFor();
  await page.getByRole('radio', { name: 'Least busy', checked: true }).waitFor({ state: 'attached' });
  await endsWith(page, '3 responses');
  await page.goto(`${site.url}/#/charts`);
  await page.getByText('half of the messages should be answered within 40 ms').waitFor();
  await page.finish();
});
