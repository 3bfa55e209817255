// The live source: watched from its first moment, lost, and opened again.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import type { Frame } from '../src/domain/state.ts';
import { Live, SILENCE_MS, type LinkStatus } from '../src/transport/live.ts';

/** A WebSocket that does what the test says. */
class FakeSocket {
  static all: FakeSocket[] = [];
  onmessage: (event: { data: string }) => void = () => {};
  onclose: () => void = () => {};
  isClosed = false;
  constructor() {
    FakeSocket.all.push(this);
  }
  close(): void {
    this.isClosed = true;
  }
  send(frame: unknown): void {
    this.onmessage({ data: JSON.stringify(frame) });
  }
}

const snapshot = { type: 'snapshot', seq: 5, now: 1 };
const events = (seq: number) => ({ type: 'events', seq, now: 2, events: [] });

let live: Live;
let stop: () => void;
let frames: Frame[];
let states: LinkStatus['state'][];
const socket = (): FakeSocket => FakeSocket.all.at(-1) as FakeSocket;

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout'] });
  globalThis.WebSocket = FakeSocket as unknown as typeof WebSocket;
  [FakeSocket.all, frames, states] = [[], [], []];
  live = new Live(new URL('ws://x/ws'), ({ state }) => states.push(state));
  stop = live.frames((frame) => frames.push(frame));
});
afterEach(() => {
  stop();
  mock.timers.reset();
});

test('a server that accepts and says nothing is given up, and tried again', () => {
  mock.timers.tick(SILENCE_MS);
  assert.deepEqual(states, ['lost']);
  assert.ok(socket().isClosed);
  mock.timers.tick(10_000);
  assert.equal(FakeSocket.all.length > 1, true);
  socket().send(snapshot);
  assert.equal(states.at(-1), 'open');
});

test('silence ends a connection that was open', () => {
  socket().send(snapshot);
  mock.timers.tick(SILENCE_MS - 1);
  socket().send(events(6));
  mock.timers.tick(SILENCE_MS - 1);
  assert.deepEqual(states, ['open']);
  mock.timers.tick(1);
  assert.deepEqual(states, ['open', 'lost']);
});

test('after a gap nothing is passed on until the next snapshot', () => {
  socket().send(snapshot);
  socket().send(events(7));
  assert.equal(frames.length, 1);
  assert.ok(socket().isClosed);
});

test('what an old connection still sends is not passed on', () => {
  const old = socket();
  old.send(snapshot);
  live.connect();
  old.send(events(6));
  assert.equal(frames.length, 1);
  old.onclose();
  assert.deepEqual(states, ['open']);
});

test('the waits grow, up to a limit', () => {
  for (let attempt = 0; attempt < 12; attempt += 1) {
    const before = FakeSocket.all.length;
    socket().onclose();
    mock.timers.tick(5_000);
    assert.equal(FakeSocket.all.length, before + 1, `attempt ${attempt}`);
  }
});

test('a source that is stopped connects no more', () => {
  socket().onclose();
  stop();
  mock.timers.tick(60_000);
  assert.equal(FakeSocket.all.length, 1);
});
