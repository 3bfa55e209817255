// How much script a batch of events costs the page: `npm run bench -- [--batches N] [--profile FILE]`, after `npm run build`.
// A pretended server sends the Live view a deployment of 1,051 instances with 12,000 workers, then batches in each of which
// a tenth of the instances report. Printed: milliseconds of script for each batch, as Chromium counts them, and of all work.
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname } from 'node:path';
import { WebSocketServer } from 'ws';
import { startBrowser } from '../e2e/browser.mjs';

const option = (name, usual) => {
  const place = process.argv.indexOf(`--${name}`);
  return place < 0 ? usual : process.argv[place + 1];
};
const BATCHES = Number(option('batches', 100));
const PROFILE = option('profile');
/** Between two batches: long enough that they do not pile up, whatever they cost. */
const PACE_MS = 150;
const REQUESTERS = { count: 50, workers: 40 };
const RESPONDERS = { count: 500, workers: 20 };
const NODES = 100;

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

let time = Date.now();
let round = 0;

function snapshotOf(tier, slot, workers, pid) {
  const ended = round * 20 + slot;
  return {
    instance: {
      id: `${tier}-${slot}`,
      tier,
      node: `pi-${slot % NODES}`,
      service: tier,
      slot: String(slot),
      version: '0.1.0',
      pid,
      startedAt: time - 60_000,
      admin: null,
    },
    at: time,
    uptimeMs: 60_000 + round * PACE_MS,
    state: 'ready',
    workers: Array.from({ length: workers }, (_, index) => ({
      index,
      id: `${tier}-${slot}-${index}`,
      state: (index + round) % 3 === 0 ? 'busy' : 'idle',
      handled: round,
      restarts: 0,
    })),
    restarts: 0,
    queue: (round + slot) % 5,
    peers: tier === 'requester' ? [{ address: '10.0.0.1:5432', connected: true }] : [],
    ledger: {
      sent: ended,
      responses: ended,
      errors: 0,
      timeouts: 0,
      inFlight: 0,
      duplicates: 0,
      late: 0,
      retries: 0,
      expired: 0,
    },
    hops: {},
    droppedEvents: 0,
  };
}

function* deployment() {
  yield ['web', 1, 0, 1];
  for (let n = 1; n <= REQUESTERS.count; n += 1) yield ['requester', n, REQUESTERS.workers, 1_000 + n];
  for (let n = 1; n <= RESPONDERS.count; n += 1) {
    yield ['broker', n, 0, 10_000 + n];
    yield ['responder', n, RESPONDERS.workers, 10_000 + n];
  }
}
const all = [...deployment()];

const load = { running: false, rate: null, count: null, sent: 0, refused: 0 };
const settings = {
  delay: { kind: 'none', minMs: 0, maxMs: 0, meanMs: 0, sigma: 0.5 },
  timeoutMs: 10_000,
  task: 'file',
  dispatch: 'round-robin',
  controls: true,
  batchMs: 50,
  expected: null,
};

function first() {
  const views = all.map((one) => ({ ...snapshotOf(...one), seenAt: time }));
  const instances = Object.fromEntries(views.map((view) => [view.instance.id, view]));
  const topology = { instances, links: {} };
  const rest = { requests: [], requestsLeftOut: 0, samples: [], settings, experiment: null, version: '', page: null };
  return { type: 'snapshot', seq: 0, now: time, load, topology, ...rest };
}

function batch() {
  round += 1;
  time += PACE_MS;
  const events = all
    .filter((_, place) => place % 10 === round % 10)
    .map((one) => ({ type: 'instance', snapshot: snapshotOf(...one) }));
  return { type: 'events', seq: round, now: time, load, events };
}

const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://x');
  try {
    const file = pathname === '/' ? 'index.html' : pathname.slice(1);
    const content = await readFile(new URL(`../dist/${file}`, import.meta.url));
    response.writeHead(200, { 'Content-Type': TYPES[extname(file)] ?? 'text/plain' }).end(content);
  } catch {
    response.writeHead(404, { 'Content-Type': 'application/json' }).end('{}');
  }
});
let socket;
new WebSocketServer({ server, path: '/ws' }).on('connection', (opened) => {
  socket = opened;
  opened.send(JSON.stringify(first()));
});
server.listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const browser = await startBrowser();
try {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.locator('.panel').nth(all.length - 1).waitFor({ state: 'attached' });
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Performance.enable');
  const spent = async () => {
    const { metrics } = await devtools.send('Performance.getMetrics');
    const of = (name) => metrics.find((metric) => metric.name === name).value * 1_000;
    return { script: of('ScriptDuration'), task: of('TaskDuration') };
  };
  const send = async (count) => {
    for (let n = 0; n < count; n += 1) {
      socket.send(JSON.stringify(batch()));
      await pause(PACE_MS);
    }
  };
  // Until the code is compiled.
  await send(20);
  if (PROFILE) {
    await devtools.send('Profiler.enable');
    await devtools.send('Profiler.start');
  }
  const before = await spent();
  await send(BATCHES);
  const after = await spent();
  if (PROFILE) await writeFile(PROFILE, JSON.stringify((await devtools.send('Profiler.stop')).profile));
  const workers = REQUESTERS.count * REQUESTERS.workers + RESPONDERS.count * RESPONDERS.workers;
  const per = (name) => ((after[name] - before[name]) / BATCHES).toFixed(1);
  console.log(`${all.length} instances, ${workers} workers, ${BATCHES} batches of a tenth of them:`);
  console.log(`script ${per('script')} ms a batch, all work of the main thread ${per('task')} ms`);
} finally {
  await browser.close();
  socket?.terminate();
  server.close();
}
