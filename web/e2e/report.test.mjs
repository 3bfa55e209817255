// Reports of real runs, opened from a file: nothing is fetched, everything is drawn, everybody can read it.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { assertAccessible, startBrowser } from './browser.mjs';

const run = promisify(execFile);
const binary = process.env.SWARMQ_BIN;
const IMAGES = fileURLToPath(new URL('../../docs/images/', import.meta.url));
const PHONE = { width: 390, height: 844 };
const SHORT = ['--repetitions', '2', '--warm-up', '200ms', '--duration', '600ms'];

let folder, browser;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'swarmq-report-'));
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await rm(folder, { recursive: true });
});

// The program refuses variables of its own prefix that it does not know.
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('SWARMQ_')));

/** Carries out a plan and gives the folder of its results. */
async function experiment(name, plan, ...factors) {
  const out = join(folder, name);
  const levels = factors.flatMap((factor) => ['--factor', factor]);
  await run(binary, ['experiment', plan, ...SHORT, ...levels, '--out', out], { env, cwd: folder });
  return out;
}

/** Opens a file. Whatever it fetches, or logs as an error, fails the test at `page.finish()`. */
async function openFile(path, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce', bypassCSP: true, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const wrong = [];
  page.on('pageerror', (error) => wrong.push(error.stack));
  page.on('console', (message) => message.type() === 'error' && wrong.push(message.text()));
  page.on('request', (request) => /^(file|data):/.test(request.url()) || wrong.push(request.url()));
  await page.goto(pathToFileURL(path).href);
  await page.locator('.report h1').waitFor();
  page.finish = async () => {
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    await context.close();
    assert.ok(overflow <= 0, `${overflow} pixels too wide`);
    assert.deepEqual(wrong, []);
  };
  return page;
}

const headings = (page) => page.locator('.report h2').allTextContents();

/** Every chart has marks, and none is beyond its frame. */
async function assertDrawn(page, charts) {
  assert.equal(await page.locator('.xy').count(), charts);
  for (const chart of await page.locator('.xy-place > svg').all()) {
    const lines = await chart.locator('.series .line').evaluateAll((all) => all.map((line) => line.getAttribute('d')));
    assert.ok(lines.length > 0 && lines.every((line) => line.length > 0 && !/NaN|Infinity/.test(line)), lines.join());
    const box = await chart.evaluate((svg) => {
      const frame = svg.getBoundingClientRect();
      const all = [...svg.querySelectorAll('.mark, .trial')].map((mark) => mark.getBoundingClientRect());
      return all.every(
        (mark) =>
          mark.left >= frame.left && mark.top >= frame.top - 6 && mark.right <= frame.right && mark.bottom <= frame.bottom,
      );
    });
    assert.ok(box, 'a mark is outside of its chart');
  }
}

const options = { skip: !binary && 'SWARMQ_BIN is not set' };

test('one factor: curves with the ideal, in every theme and on a phone', options, async () => {
  const out = await experiment('one', 'quick', 'responders=1,2');
  assert.deepEqual((await readdir(out)).sort(), ['histograms', 'report.html', 'report.json', 'results.csv', 'results.json']);
  for (const colorScheme of ['light', 'dark']) {
    const page = await openFile(join(out, 'report.html'), { colorScheme });
    await assertDrawn(page, 4);
    assert.equal(await page.locator('.expected-line').evaluateAll((all) => all.every((line) => line.getAttribute('d'))), true);
    await page.getByText(/From 1 responder to 2 responders, throughput is/).waitFor();
    await assertAccessible(page, colorScheme);
    await page.getByText('2 of 2 cells are shown').click();
    await page.getByLabel('1 responder').uncheck();
    await page.getByText('1 of 2 cells are shown').waitFor();
    await page.setViewportSize(PHONE);
    await assertAccessible(page, `${colorScheme}, on a phone`);
    await page.finish();
  }
});

test('two factors: a grid of colours; it prints', options, async () => {
  const out = await experiment('two', 'workers', 'requesters=1,2', 'responders=1,2');
  const page = await openFile(join(out, 'report.html'));
  await assertDrawn(page, 4);
  assert.equal(await page.locator('.heat').count(), 2);
  assert.equal(await page.locator('.heat tbody td').filter({ hasText: /\d/ }).count(), 8);
  await assertAccessible(page, 'two factors');
  await mkdir(IMAGES, { recursive: true });
  await page.screenshot({ path: `${IMAGES}report.png` });
  const pages = (await page.pdf({ format: 'A4' })).toString('latin1').match(/\/Type \/Page\b/g).length;
  assert.ok(pages >= 2 && pages < 12, `${pages} pages`);
  await page.finish();
});

test('rising rates: the knee', options, async () => {
  const out = await experiment('knee', 'saturation', 'load=poisson 40/s,poisson 80/s');
  const page = await openFile(join(out, 'report.html'));
  assert.ok((await headings(page)).includes('The knee'));
  await assertDrawn(page, 4);
  assert.ok((await page.locator('.mark-line').count()) >= 3);
  await page.finish();
});

test('pairs and a third factor: each combination has its chart', options, async () => {
  const out = await experiment('pairs', 'dispatch', 'load=poisson 40/s,poisson 80/s', 'responders=2,4');
  const page = await openFile(join(out, 'report.html'));
  assert.ok((await headings(page)).includes('Paired differences'));
  assert.equal(await page.locator('.panel-title', { hasText: /^2 responders$/ }).count(), 1);
  await assertAccessible(page, 'pairs');
  await page.finish();
});

test('two runs are compared, and a rule breaks', options, async () => {
  const [first, second] = [await experiment('before', 'quick', 'responders=1,2'), await experiment('after', 'quick', 'responders=2,4')];
  const html = join(folder, 'compare.html');
  const compare = (...rules) => run(binary, ['experiment', 'compare', first, second, '--html', html, ...rules], { env });
  const { stdout } = await compare('--fail-if', 'p99 > 1000x');
  assert.match(stdout, /2 responders[\s\S]*ratio/);
  const broken = await compare('--fail-if', 'requests/s > 1%').then(assert.fail, (error) => error);
  assert.match(broken.stderr, /1\.2x/);
  const failed = await compare('--fail-if', 'requests/s > 0.001x').then(assert.fail, (error) => error);
  assert.equal(failed.code, 1);
  assert.match(failed.stdout, /Broken rules:\n.*2 responders/);
  const page = await openFile(html);
  assert.ok((await headings(page)).includes('Ratios'));
  await page.getByText('Only in the first: 1 responder').waitFor();
  await page.getByText('Broken:').waitFor();
  await assertAccessible(page, 'a comparison');
  await page.finish();
});
