import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inShort, startOfLine, targetOf } from '../src/features/experiments/plan-text.ts';
import { isUnderWay, levelsInWords, partDone, roughly, timeLeft } from '../src/features/experiments/progress.ts';
import type { ExperimentView } from '../src/wire.ts';

const view = (changes: Partial<ExperimentView>): ExperimentView => ({
  id: 'x',
  plan: 'quick',
  target: 'running',
  state: 'running',
  startedAt: 100_000,
  trials: 10,
  ended: 0,
  endedBefore: 0,
  problems: 0,
  timeMs: 50_000,
  ...changes,
});
const trial = { number: 0, levels: {}, repetition: 0, elapsedMs: 500, totalMs: 1_000, sent: 1, ended: 1, requestsPerS: 1 };

test('a trial under way counts by its part', () => {
  assert.equal(partDone(view({})), 0);
  assert.equal(partDone(view({ ended: 4, trial })), 0.45);
  assert.equal(partDone(view({ ended: 4, trial: { ...trial, elapsedMs: null, totalMs: null } })), 0.4);
  assert.equal(partDone(view({ ended: 10 })), 1);
  assert.equal(partDone(view({ trials: 0 })), 0);
});

test('the time left is the plan’s at first, and then goes by what trials took', () => {
  assert.equal(timeLeft(view({}), 100_000), 50_000);
  assert.equal(timeLeft(view({ trial }), 101_000), 47_500);
  // Four took eight seconds; so six take twelve.
  assert.equal(timeLeft(view({ ended: 4 }), 108_000), 12_000);
  // Those of an earlier part of the run took none of this one's time.
  assert.equal(timeLeft(view({ ended: 8, endedBefore: 4 }), 108_000), 4_000);
  assert.equal(timeLeft(view({ ended: 10 }), 120_000), 0);
});

test('an experiment is under way until its process has ended', () => {
  assert.equal(isUnderWay(undefined), false);
  for (const state of ['starting', 'running', 'stopping'] as const) assert.ok(isUnderWay(view({ state })));
  for (const state of ['finished', 'stopped', 'failed'] as const) assert.ok(!isUnderWay(view({ state })));
});

test('times and levels in words', () => {
  assert.equal(roughly(16_001), '17 s');
  assert.equal(roughly(240_000), '4 min');
  assert.equal(levelsInWords({ fan_out: 'one', load: 'closed 8' }), 'fan out one, load closed 8');
  assert.equal(levelsInWords({}), 'no factor varies');
});

test('a plan’s own target is read from the top of its text', () => {
  assert.equal(targetOf('name = "x"\ntarget = "processes"\n[factors]\n'), 'processes');
  assert.equal(targetOf('  target="running" # why\n'), 'running');
  assert.equal(targetOf('# target = "swarm"\n[factors]\ntarget = "x"\n'), undefined);
});

test('a line is found, also past the end', () => {
  assert.equal(startOfLine('ab\ncd\ne', 1), 0);
  assert.equal(startOfLine('ab\ncd\ne', 3), 6);
  assert.equal(startOfLine('ab\ncd\ne', 9), 7);
});

test('beside a line stands what is wrong, without the place', () => {
  assert.equal(inShort('the plan, line 3: `respnders` is no factor'), '`respnders` is no factor');
  const drawn = 'the plan: TOML parse error at line 1, column 15\n  |\n1 | x = \n  |     ^\ninvalid string\nexpected `"`';
  assert.equal(inShort(drawn), 'invalid string, expected `"`');
  assert.equal(inShort('--seed: give a number'), '--seed: give a number');
});
