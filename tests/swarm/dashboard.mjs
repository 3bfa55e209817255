// The dashboard of the stack on the lab: shows every node with its tasks, and is kept as a picture.
//
//   node dashboard.mjs http://192.168.231.11:3000
//
// Runs in web/, which has the browser's driver.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const require = createRequire(`${process.cwd()}/package.json`);
const { openPage, startBrowser } = await import(`${process.cwd()}/e2e/browser.mjs`);
assert.ok(require.resolve('playwright-core'));

const url = process.argv[2];
const browser = await startBrowser();
try {
  const page = await openPage(browser, url);
  for (const text of ['node1', 'node2', 'node3', 'responder.1', 'responder.3', 'web.2']) {
    await page.getByText(text, { exact: false }).first().waitFor();
  }
  await page.getByText('web.2').first().click();
  await page.getByText(/web on node\d, version \S/).waitFor();
  await page.keyboard.press('Escape');
  // The charts have something to show when a rate is told.
  await page.getByText(/responses [1-9]\d*\/s/).first().waitFor();
  await page.screenshot({ path: '../docs/images/dashboard-swarm.png' });
  await page.finish();
} finally {
  await browser.close();
}
