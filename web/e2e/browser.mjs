// The browser, and what every test does with a page.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { chromium } from 'playwright-core';

const AXE = new URL('../node_modules/axe-core/axe.min.js', import.meta.url);

/** Starts the browser. */
export const startBrowser = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
    ],
  });

/**
 * Opens a view and waits until the page is live. Whatever the page logs as an error fails the test at `page.finish()`.
 * `prepare` is given the page before it is loaded.
 */
export async function openPage(browser, url, { route = '/', prepare, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.stack));
  await prepare?.(page);
  await page.goto(`${url}/#${route}`);
  await connected(page);
  page.finish = async () => {
    await context.close();
    assert.deepEqual(errors, []);
  };
  return page;
}

/** Waits until the page shows what the server sends. */
export const connected = (page) => page.getByRole('status').filter({ hasText: /^Connected$/ }).waitFor();

/** The rows of the latest requests in the Live view. */
export const latest = (page) => page.getByRole('region', { name: 'Latest requests' }).getByRole('article');

/** Those of some rows whose requests have ended: they say with what. */
export const ended = (rows) => rows.filter({ hasText: /\d (responses?|errors?|timeouts?)/ });

/** The line of a message that has a response. */
export const responseIn = (row) => row.getByRole('button', { name: /^response/ }).first();

/** The buttons of the instances in the picture. */
export const instancesIn = (page) => page.getByRole('group', { name: /^Instances/ }).getByRole('button');

/** Enters the control token. */
export async function permit(page, token) {
  await page.getByPlaceholder('control token').fill(token);
  await page.getByRole('button', { name: 'Use token' }).click();
  await page.getByText('Controls are permitted').waitFor();
}

/** Fails on each violation that axe finds. */
export async function assertAccessible(page, what) {
  await page.evaluate(await readFile(AXE, 'utf8'));
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const said = found.violations.map(
    ({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`,
  );
  assert.deepEqual(said, [], what);
}
