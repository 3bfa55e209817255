// Names that people give to instances, nodes, services and slots, with what HTML, URLs and labels use for themselves.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ended, instancesIn, latest, permit } from './browser.mjs';
import { TOKEN } from './program.mjs';
import { useSite } from './site.mjs';

const NODE = 'Küche \\ "1"/<i>x & y';

const site = useSite({
  'task.delay.kind': 'none',
  'instance.id': 'pi "1"/a?b#ü<b>%2F',
  'instance.node': NODE,
  'instance.service': 'Über uns/"q"',
  'instance.slot': "3/ü'<s>",
});

test('odd names are shown as they are, and what has them is looked at, filtered by and controlled', async () => {
  const page = await site.open();
  await page.getByText(NODE, { exact: true }).first().waitFor();
  await page.getByRole('button', { name: 'Send request' }).click();
  await ended(latest(page)).first().waitFor();
  await instancesIn(page).last().click();
  const sheet = page.getByRole('dialog');
  await sheet.getByText('pi "1"/a?b#ü<b>%2F-responder', { exact: true }).waitFor();
  await sheet.getByRole('link', { name: 'Change its workers or faults' }).click();
  await page.getByRole('heading', { level: 1, name: 'Control' }).waitFor({ state: 'attached' });
  await permit(page, TOKEN);
  const responders = page.locator('.tier-workers').last();
  await responders.getByRole('button', { name: 'More' }).first().click();
  await responders.getByRole('button', { name: 'Apply' }).first().click();
  await responders.getByText('4 workers asked for').waitFor();
  await page.goto(`${site.url}/#/requests`);
  await page.getByLabel('Node').selectOption(NODE);
  await page.getByRole('article').first().waitFor();
  assert.equal(await page.getByRole('article').count(), 1);
  await page.finish();
});
