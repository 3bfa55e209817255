// A recording: read, played, paused, slowed and gone through.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import type { Frame } from '../src/domain/state.ts';
import { Clock } from '../src/state/clock.ts';
import { parseRecording, Recording } from '../src/transport/recording.ts';

const line = (type: string, now: number): string => JSON.stringify({ type, now, events: [] });
const TEXT = [line('snapshot', 1_000), line('events', 1_500), line('snapshot', 2_000), line('events', 3_000)].join('\n');

test('a recording says which of its lines is wrong', () => {
  assert.equal(parseRecording(`${TEXT}\n\n`).length, 4);
  assert.throws(() => parseRecording(''), /empty/);
  assert.throws(() => parseRecording(line('events', 1)), /Line 1 .*snapshot/);
  assert.throws(() => parseRecording(`${TEXT}\n{`), /Line 5 .*not JSON/);
  assert.throws(() => parseRecording(`${TEXT}\n${line('events', 2_999)}`), /Line 5 .*earlier/);
  assert.throws(() => parseRecording(`${TEXT}\n{"type":"events"}`), /Line 5 .*no time/);
  assert.throws(() => parseRecording(`${TEXT}\n{"type":"other","now":1}`), /Line 5 .*neither/);
});

let wall: number;
let clock: Clock;
let played: Recording;
let times: number[];
let stop: () => void;

/** Lets time pass. */
function pass(ms: number): void {
  wall += ms;
  mock.timers.tick(ms);
}

beforeEach(() => {
  mock.timers.enable({ apis: ['setInterval'] });
  wall = 50_000;
  clock = new Clock(() => wall);
  times = [];
  played = new Recording(parseRecording(TEXT), clock);
  stop = played.frames(({ now }: Frame) => times.push(now));
});
afterEach(() => {
  stop();
  mock.timers.reset();
});

test('frames come at their times', () => {
  assert.deepEqual(times, [1_000]);
  pass(500);
  assert.deepEqual(times, [1_000, 1_500]);
  pass(499);
  assert.equal(times.length, 2);
  pass(51);
  assert.deepEqual(times, [1_000, 1_500, 2_000]);
});

test('a pause stops them, and a slower clock delays them', () => {
  clock.pause();
  pass(10_000);
  assert.deepEqual(times, [1_000]);
  clock.play();
  clock.speed = 0.25;
  pass(1_900);
  assert.equal(times.length, 1);
  pass(150);
  assert.deepEqual(times, [1_000, 1_500]);
});

test('going to a time gives the last snapshot before it and what came after', () => {
  played.seek(2_500);
  assert.deepEqual(times, [1_000, 2_000]);
  assert.equal(clock.now(), 2_500);
  played.seek(1_700);
  assert.deepEqual(times.slice(2), [1_000, 1_500]);
  played.seek(99_000);
  assert.deepEqual(times.slice(4), [2_000, 3_000]);
  played.seek(0);
  assert.deepEqual(times.slice(6), [1_000]);
});

test('the clock stops at the end', () => {
  pass(5_000);
  assert.equal(clock.playing, false);
  assert.equal(clock.now(), 3_000);
  assert.deepEqual(times, [1_000, 1_500, 2_000, 3_000]);
});
