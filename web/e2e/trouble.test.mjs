// When something goes wrong: a worker, an instance, the server itself.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openPage, permit, startBrowser } from './browser.mjs';
import { startProgram, TOKEN } from './program.mjs';

let program, browser;
before(async () => {
  program = await startProgram();
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await program?.stop();
});

test('controls are off without the token, and say so', async () => {
  const page = await openPage(browser, program.url, { route: '/control' });
  await page.getByText('Controls are not permitted without the token').waitFor();
  assert.ok(await page.getByRole('button', { name: 'Panic' }).isDisabled());
  await page.getByPlaceholder('control token').fill('wrong');
  await page.getByRole('button', { name: 'Use token' }).click();
  await page.getByText('the token is wrong').waitFor();
  await page.finish();
});

test('a worker panics and its restart is seen', async () => {
  const page = await openPage(browser, program.url, { route: '/control' });
  await permit(page, TOKEN);
  await page.getByRole('button', { name: 'Panic' }).click();
  await page.getByText(/panics; its supervisor restarts it/).waitFor();
  await page.getByText(/^[1-9]\d* restarts? in /).waitFor();
  await page.finish();
});

test('workers come and go', async () => {
  const page = await openPage(browser, program.url, { route: '/control' });
  await permit(page, TOKEN);
  const responders = page.locator('.tier-workers').last();
  for (const [button, workers] of [
    ['More', 4],
    ['Fewer', 3],
  ]) {
    await responders.getByRole('button', { name: button }).first().click();
    await responders.getByRole('button', { name: 'Apply' }).first().click();
    await responders.getByText(`${workers} workers asked for`).waitFor();
    await page.goto(`${program.url}/#/`);
    await page.locator('.tier', { hasText: 'Responders' }).getByText(`of ${workers} workers`).waitFor();
    await page.goto(`${program.url}/#/control`);
  }
  await page.finish();
});

test('a fault is set, felt and cleared', async () => {
  const page = await openPage(browser, program.url, { route: '/control' });
  await permit(page, TOKEN);
  await page.getByLabel('Errors, %').fill('100');
  await page.getByRole('button', { name: 'Set faults' }).click();
  await page.getByText('100 % of replies are errors').first().waitFor();
  const requestEndsWith = async (outcome) => {
    await page.goto(`${program.url}/#/`);
    await page.getByRole('button', { name: 'Send request' }).click();
    const id = /Sent (\w+)/.exec(await page.locator('.said', { hasText: 'Sent' }).textContent())[1];
    const request = page.locator('.live-latest .request.is-complete', { hasText: id });
    await request.locator('.counts', { hasText: outcome }).waitFor();
  };
  await requestEndsWith('3 errors');
  await page.goto(`${program.url}/#/control`);
  await page.getByRole('button', { name: 'Everything back to normal' }).click();
  await page.getByText('Everything is back to normal').waitFor();
  await page.locator('.active-faults').waitFor({ state: 'detached' });
  await requestEndsWith('3 responses');
  await page.finish();
});

test(
  'the page resumes without a reload after the server was away',
  { skip: Boolean(process.env.SWARMQ_URL) },
  async () => {
    const page = await openPage(browser, program.url);
    await page.evaluate(() => (window.sameDocument = true));
    const port = new URL(program.url).port;
    await program.stop();
    await page.getByText('The connection to the server is lost').waitFor();
    assert.match(await page.title(), /Connection lost/);
    program = await startProgram(port);
    await page.locator('.connection.is-open').waitFor();
    await page.locator('.banner').waitFor({ state: 'detached' });
    await page.locator('.links .is-connected').first().waitFor();
    await page.getByRole('button', { name: 'Send request' }).click();
    await page.locator('.live-latest .request.is-complete').first().waitFor();
    assert.ok(await page.evaluate(() => window.sameDocument));
    await page.finish();
  },
);
