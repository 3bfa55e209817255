// What is read over HTTP: kept apart from frames, read again when the server comes back.
import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { countOf } from '../src/features/control/workers.tsx';
import { followExperiment, overview } from '../src/features/experiments/runs.ts';
import { connection } from '../src/state/connection.ts';
import { loaded, loadRequest } from '../src/state/loaded.ts';
import { onNextFrame } from '../src/state/next-frame.ts';
import { load, requests, show } from '../src/state/store.ts';
import { startLoad } from '../src/transport/api.ts';
import type { InstanceView, LoadView, RequestView } from '../src/wire.ts';

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Answers every call with what `answer` gives for its path. */
function serve(answer: (path: string) => unknown): string[] {
  const paths: string[] = [];
  mock.method(globalThis, 'fetch', async (path: string) => {
    paths.push(path);
    const value = answer(path);
    if (value === undefined) throw new Error('offline');
    return new Response(JSON.stringify(value));
  });
  return paths;
}

beforeEach(() => mock.restoreAll());

test('a request that was loaded is kept apart from those of the frames, and few are', async () => {
  const view = { requestId: 'a', replies: [{ body: 'whole' }] } as unknown as RequestView;
  await loadRequest('a', async () => view);
  const stop = show({ frames: () => () => {} });
  assert.equal(requests.value.size, 0);
  assert.equal(loaded.value.get('a'), view);
  for (let n = 0; n < 20; n += 1) await loadRequest(`b${n}`, async () => view);
  assert.equal(loaded.value.size, 8);
  assert.ok(!loaded.value.has('a'));
  stop();
});

test('the answer to a call does not go before what frames say', async () => {
  const before = load.value;
  serve(() => ({ ...before, running: true, sent: 7 }) satisfies LoadView);
  assert.equal((await startLoad({ count: 7, request: {} })).sent, 7);
  assert.equal(load.value, before);
});

test('plans that could not be read are read again when the server comes back', async () => {
  let isUp = false;
  const paths = serve((path) => (isUp ? (path.endsWith('runs') ? [] : { dir: '', plans: [] }) : undefined));
  connection.value = { state: 'open' };
  const stop = followExperiment();
  await settle();
  assert.equal(overview.value.state, 'failed');
  connection.value = { state: 'lost', retryAt: 0 };
  isUp = true;
  connection.value = { state: 'open' };
  await settle();
  assert.equal(overview.value.state, 'read');
  const read = paths.length;
  stop();
  connection.value = { state: 'open' };
  await settle();
  assert.equal(paths.length, read, 'nothing is read for a view that is not shown');
});

test('a hidden page is rendered once a second, and a shown one with the next frame', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  let draw: (() => void) | undefined;
  Object.assign(globalThis, {
    requestAnimationFrame: (task: () => void) => ((draw = task), 1),
    cancelAnimationFrame: () => (draw = undefined),
  });
  let runs = 0;
  const run = (): void => void (runs += 1);
  onNextFrame(run);
  draw?.();
  mock.timers.tick(5_000);
  assert.equal(runs, 1);
  onNextFrame(run);
  mock.timers.tick(999);
  assert.equal(runs, 1);
  mock.timers.tick(1);
  assert.equal(runs, 2);
  assert.equal(draw, undefined, 'the frame comes too late');
  mock.timers.reset();
});

test('workers that are gone do not count', () => {
  const workers = ['idle', 'gone', 'busy', 'gone'].map((state, index) => ({ index, state }));
  assert.equal(countOf({ workers } as unknown as InstanceView), 2);
});
