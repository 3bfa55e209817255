// The whole state as a fold of frames, and how frames reach the page.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { reduce, UNKNOWN, type Frame, type State } from '../src/domain/state.ts';
import { clock } from '../src/state/clock.ts';
import { connection } from '../src/state/connection.ts';
import { permission, watchPermission } from '../src/state/permission.ts';
import { failure, newest, show, topology, watchEvents } from '../src/state/store.ts';
import type { ControlAccess, Event, Figures, PageSettings, Sample } from '../src/wire.ts';

const log = JSON.parse(readFileSync('../../tests/fixtures/events.json', 'utf8')) as {
  events: { event: Event; now: number }[];
};
const load = { running: false, rate: null, count: null, sent: 0, refused: 0 };
const settings = { task: 'file' } as PageSettings;
const figures = { rates: {}, tiers: [] } as unknown as Figures;
const snapshot = (part: object = {}) => ({
  type: 'snapshot',
  seq: 0,
  now: 1_000,
  topology: { instances: {}, links: {} },
  requests: [],
  requestsLeftOut: 0,
  samples: [],
  settings,
  experiment: null,
  load,
  history: [],
  version: '1',
  page: null,
  figures,
  ...part,
}) as Frame;
const batch = (events: Event[], now = 1_000): Frame => ({ type: 'events', seq: 1, now, load, events });

/** Long after the events: what is gone by then is forgotten, whenever exactly it went. */
const LAST = batch([], 100_000);

/** Makes batches of the fixture's events, a pseudo-random number in each; a batch has the time of its last event. */
function batches(seed: number): Frame[] {
  const frames: Frame[] = [];
  let random = seed;
  for (let from = 0; from < log.events.length;) {
    random = (random * 48_271) % 2_147_483_647;
    const part = log.events.slice(from, (from += 1 + (random % 4)));
    frames.push(batch(part.map(({ event }) => event), part.at(-1)?.now));
  }
  return [...frames, LAST];
}

/** Without the times of instances' last snapshots, which are those of the batches. */
const timeless = ({ topology: { instances, links }, requests }: State) => ({
  instances: Object.fromEntries(Object.entries(instances).map(([id, view]) => [id, { ...view, seenAt: 0 }])),
  links,
  requests: [...requests],
});

test('however events come in batches, they make the same state', () => {
  const single = [...log.events.map(({ event, now }) => batch([event], now)), LAST];
  const one = single.reduce(reduce, reduce(UNKNOWN, snapshot()));
  for (let seed = 1; seed <= 50; seed += 1) {
    assert.deepEqual(timeless(batches(seed).reduce(reduce, reduce(UNKNOWN, snapshot()))), timeless(one), `seed ${seed}`);
  }
});

test('a frame leaves the state before it as it was, and what it does not change is the same object', () => {
  const frames = [snapshot(), ...batches(7)];
  let state = UNKNOWN;
  for (const frame of frames) {
    const copy = structuredClone(state);
    const next = reduce(state, frame);
    assert.deepEqual(state, copy);
    state = next;
  }
  const next = reduce(state, LAST);
  for (const part of ['topology', 'requests', 'samples', 'figures'] as const) assert.equal(next[part], state[part], part);
});

test('samples are kept for as long as the charts look back', () => {
  const sample = (at: number): Event => ({ type: 'sample', sample: { at } as Sample });
  const many = Array.from({ length: 400 }, (_, at) => sample(at));
  const { samples } = reduce(reduce(UNKNOWN, snapshot()), batch(many));
  assert.deepEqual([samples.length, samples[0]?.at], [300, 100]);
});

test('as many requests are kept as the server keeps', () => {
  const began = (n: number): Event => ({
    type: 'request',
    requestId: `q${n}`,
    at: 1,
    task: null,
    fanOut: 'all',
    timeoutMs: null,
    links: 1,
  });
  const many = Array.from({ length: 1_200 }, (_, n) => began(n));
  const kept = (keepRequests: number) => {
    const start = reduce(UNKNOWN, snapshot({ settings: { ...settings, keepRequests } }));
    return reduce(start, batch(many)).requests.size;
  };
  assert.deepEqual([kept(100), kept(5_000)], [100, 1_200]);
});

test('figures are those of the last that came', () => {
  const later = { ...figures, at: 5 };
  const state = reduce(reduce(UNKNOWN, snapshot()), batch([{ type: 'figures', figures: later }]));
  assert.equal(state.figures, later);
  assert.equal(reduce(state, batch([])).figures, later);
});

/** A source whose frames the test sends, and a screen whose next frame it draws. */
function fake() {
  let on: (frame: Frame) => void = () => {};
  const tasks: (() => void)[] = [];
  const stop = show({ frames: (to) => ((on = to), () => (on = () => {})) }, (task) => tasks.push(task));
  return { send: (frame: Frame) => on(frame), tasks, draw: () => tasks.splice(0).forEach((task) => task()), stop };
}

test('frames that come before the page is drawn are one change', () => {
  const { send, tasks, draw, stop } = fake();
  let changes = -1;
  const unsubscribe = topology.subscribe(() => (changes += 1));
  send(snapshot());
  draw();
  const [first, ...rest] = log.events;
  send(batch(first ? [first.event] : []));
  for (const { event, now } of rest) send(batch([event], now));
  assert.equal(tasks.length, 1);
  assert.equal(changes, 1);
  draw();
  assert.equal(changes, 2);
  assert.equal(newest.value.length, 1);
  unsubscribe();
  stop();
});

test('a frame that can’t be taken in leaves the state whole, and says so until the next snapshot', (context) => {
  context.mock.method(console, 'error', () => {});
  const { send, draw, stop } = fake();
  send(snapshot());
  draw();
  const before = topology.value;
  send({ ...batch([]), events: [{ type: 'instance' }] } as unknown as Frame);
  draw();
  assert.equal(topology.value, before);
  assert.notEqual(failure.value, '');
  send(snapshot());
  draw();
  assert.equal(failure.value, '');
  stop();
});

test('events are shown as they happen, and those before a snapshot are not', () => {
  const { send, draw, stop } = fake();
  const seen: Event['type'][] = [];
  const unwatch = watchEvents((events) => seen.push(...events.map(({ type }) => type)));
  const event: Event = { type: 'instance-gone', id: 'x', at: 1, reason: '' };
  send(batch([event]));
  send(snapshot());
  draw();
  assert.deepEqual(seen, []);
  send(batch([event]));
  draw();
  assert.deepEqual(seen, ['instance-gone']);
  unwatch();
  stop();
});

test('the page’s clock follows a live source', () => {
  const { send, stop } = fake();
  send(snapshot({ now: 5e12 }));
  assert.ok(clock.now() >= 5e12);
  stop();
});

test('of two questions for permission the answer to the last counts, and a failure is no waiting', async () => {
  const answers: { yes: (access: ControlAccess) => void; no: (error: Error) => void }[] = [];
  const ask = (): Promise<ControlAccess> => new Promise((yes, no) => answers.push({ yes, no }));
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const stop = watchPermission(ask);
  connection.value = { state: 'open' };
  connection.value = { state: 'open' };
  assert.equal(answers.length, 2);
  answers[1]?.yes({ permitted: true, needsToken: false });
  await settle();
  answers[0]?.yes({ permitted: false, needsToken: true });
  await settle();
  assert.equal(permission.value, 'permitted');
  connection.value = { state: 'open' };
  answers[2]?.no(new Error('unreachable'));
  await settle();
  assert.equal(permission.value, 'unanswered');
  stop();
});
