// Experiments on the page: a plan is checked, started, watched, stopped; runs are looked at and compared.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, test } from 'node:test';
import { assertAccessible, permit } from './browser.mjs';
import { TOKEN } from './program.mjs';
import { useSite } from './site.mjs';

const IMAGES = fileURLToPath(new URL('../../docs/images/', import.meta.url));

const plan = (name, repetitions) => `name = "${name}"
description = "How much more do two responder workers do than one?"
repetitions = ${repetitions}
warm_up = "0s"
duration = "300ms"

[factors]
responders = [1, 2]

[fixed]
requesters = 4
delay = "fixed 5ms"
fan_out = "one"
load = "closed 4"
`;

const folder = await mkdtemp(join(tmpdir(), 'swarmq-'));
const site = useSite({ 'experiments.dir': folder });
after(() => rm(folder, { recursive: true, force: true }));

const open = (options = {}) => site.open({ route: '/experiments', ...options });
const editor = (page) => page.getByRole('textbox', { name: 'Plan' });
const start = (page) => page.getByRole('button', { name: 'Start', exact: true });
const isIn = (page, state) => page.locator(`.watch.is-${state}`).waitFor();

test('without the token one may look, with it plans are checked as they are typed', async () => {
  const page = await open();
  await page.getByText('None yet').waitFor();
  assert.ok(await start(page).isDisabled());
  await page.getByText('the same permission as the controls').waitFor();
  assert.equal(await page.locator('#plan-verdict').textContent(), '');
  await permit(page, TOKEN);
  await page.getByText('9 trials').waitFor();
  await editor(page).fill('repetitions = 2\n\n[factors]\nrespnders = [1, 2]\n');
  await page.locator('.plan-mark', { hasText: 'did you mean responders?' }).waitFor();
  assert.equal(await page.locator('.plan-gutter .is-wrong').textContent(), '4');
  assert.equal(await editor(page).getAttribute('aria-invalid'), 'true');
  await page.getByRole('button', { name: 'Line 4' }).click();
  assert.equal(await editor(page).evaluate((field) => field.value.slice(field.selectionStart, field.selectionEnd)), 'respnders = [1, 2]');
  // Typed over what is selected there.
  await page.keyboard.type('responders = [1, 2, 3]');
  await page.getByText('6 trials').waitFor();
  assert.equal(await page.locator('.plan-mark').count(), 0);
  await page.finish();
});

test('a plan that a running deployment can’t carry out is offered another target', async () => {
  const page = await open();
  await permit(page, TOKEN);
  await page.getByLabel('Start from').selectOption('req-vs-dealer');
  await page.getByText('40 trials').waitFor();
  assert.ok(await page.getByRole('radio', { name: 'One process' }).isChecked());
  await page.locator('.choice').getByText('This deployment').click();
  await page.locator('.plan-problem', { hasText: "can't vary" }).waitFor();
  await page.finish();
});

test('an experiment is started, watched, stopped and gone on with', async () => {
  const page = await open();
  await permit(page, TOKEN);
  await editor(page).fill(plan('stopped', 10));
  await page.getByText('20 trials').waitFor();
  await start(page).click();
  await page.locator('.trials tbody tr').nth(1).waitFor();
  assert.ok(await start(page).isDisabled());
  // Another page, opened in the middle, knows of it at once, and of the trials that ended before.
  const late = await open();
  await late.locator('.watch', { hasText: 'of 20 trials' }).waitFor();
  await late.locator('.trials tbody tr').nth(1).waitFor();
  assert.ok(await late.getByRole('button', { name: 'Stop' }).isDisabled());
  await late.finish();
  await page.getByRole('button', { name: 'Stop' }).click();
  await isIn(page, 'stopped');
  await page.getByRole('link', { name: /Its page/ }).click();
  await page.getByRole('button', { name: 'Go on with it' }).click();
  await page.locator('.watch.is-running').waitFor();
  await page.getByRole('button', { name: 'Stop' }).click();
  await isIn(page, 'stopped');
  await page.finish();
});

test('a run grows to its end; its report opens and its files are there', async () => {
  const page = await open({ bypassCSP: true, reducedMotion: 'reduce' });
  await permit(page, TOKEN);
  for (const name of ['first', 'second']) {
    await editor(page).fill(plan(name, 1));
    await page.getByText('2 trials', { exact: true }).waitFor();
    await start(page).click();
    await page.locator('.watch', { hasText: name }).waitFor();
    await isIn(page, 'finished');
    await page.locator('.run', { hasText: name }).waitFor();
  }
  await assertAccessible(page, 'after a run');
  await page.setViewportSize({ width: 390, height: 844 });
  await assertAccessible(page, 'after a run on a phone');
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing is cut off');
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.locator('.run', { hasText: 'second' }).getByRole('link').click();
  await page.locator('.apart:not(.is-bare)').getByText('What it shows').waitFor();
  assert.equal(await page.locator('.trials tbody tr').count(), 2);
  await assertAccessible(page, 'a run');
  const opened = page.waitForEvent('popup');
  await page.getByRole('link', { name: 'Open the report' }).click();
  const report = await opened;
  await report.getByRole('heading', { level: 1, name: 'second' }).waitFor();
  await report.close();
  const saved = page.waitForEvent('download');
  await page.getByRole('link', { name: 'CSV' }).click();
  assert.match((await saved).suggestedFilename(), /second-\d+-\d+-results\.csv$/);
  await page.finish();
});

test('two runs are compared', async () => {
  const page = await open({ bypassCSP: true, reducedMotion: 'reduce' });
  for (const name of ['first', 'second']) await page.locator('.run', { hasText: name }).getByRole('checkbox').check();
  await page.getByRole('link', { name: /^Compare first-.* with second-/ }).click();
  await page.locator('.apart:not(.is-bare)').getByRole('heading', { name: 'Ratios' }).waitFor();
  await assertAccessible(page, 'a comparison');
  await page.setViewportSize({ width: 390, height: 844 });
  await assertAccessible(page, 'a comparison on a phone');
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing is cut off');
  await page.finish();
});

test('a run is deleted when one is sure', async () => {
  const page = await open();
  await permit(page, TOKEN);
  await page.locator('.run', { hasText: 'first' }).getByRole('link').click();
  await page.getByRole('button', { name: 'Delete…' }).click();
  await page.getByRole('button', { name: 'Delete it for good' }).click();
  await page.locator('.run', { hasText: 'second' }).waitFor();
  await page.locator('.run', { hasText: 'first' }).waitFor({ state: 'detached' });
  await page.finish();
});

test('a picture for the documentation: experiments-page', async () => {
  const page = await open({ viewport: { width: 1440, height: 1250 } });
  await permit(page, TOKEN);
  await page.getByLabel('Start from').selectOption('quick');
  await page.getByText('9 trials').waitFor();
  await editor(page).fill((await editor(page).inputValue()).replace('"2s"', '"1s"'));
  await page.getByText('up to 32 s').waitFor();
  await start(page).click();
  await page.locator('.trials tbody tr').nth(6).waitFor({ timeout: 60_000 });
  await page.locator('.apart:not(.is-bare)').waitFor();
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: `${IMAGES}experiments-page.png` });
  await page.finish();
});
