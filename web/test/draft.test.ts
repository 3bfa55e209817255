// Forms: what is typed stays, and what it means is asked when it is submitted.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { choosePlan, Latest } from '../src/features/experiments/choose-plan.ts';
import { faultsFrom, textsOf } from '../src/features/control/faults.tsx';
import { difference, numberFrom, overlay, wholeFrom } from '../src/ui/draft.ts';

test('what is typed goes before what is set, whatever is set meanwhile', () => {
  const typed = { workers: '12' };
  assert.deepEqual(overlay({ workers: '3', mean: '5' }, typed), { workers: '12', mean: '5' });
  assert.deepEqual(overlay({ workers: '2', mean: '7' }, typed), { workers: '12', mean: '7' });
});

test('a field that says what is set is not changed', () => {
  assert.deepEqual(difference({ a: '1', b: '2' }, { a: '1', b: '3' }), { b: '3' });
});

test('a number is read as it was typed, and refused with its range', () => {
  assert.equal(numberFrom('It', '1.5', 0, 100), 1.5);
  assert.equal(numberFrom('It', '7', 0, 100), 7);
  for (const text of ['', ' ', 'x', '1.5.', '-1', '101']) assert.throws(() => numberFrom('It', text, 0, 100), /It must be a number from 0 to 100/);
  assert.equal(wholeFrom('It', '12', 0, 100), 12);
  for (const text of ['', '1.5', '101']) assert.throws(() => wholeFrom('It', text, 0, 100), /whole number from 0 to 100/);
});

test('of two plans that are chosen after one another the last is in the editor, whichever answer comes first', async () => {
  const latest = new Latest();
  let answer: (plan: { name: string; text: string }) => void = () => {};
  const changes: unknown[] = [];
  const change = (part: unknown): void => void changes.push(part);
  const target = async () => 'running' as const;
  const first = choosePlan(latest.begin(), () => new Promise((resolve) => (answer = resolve)), target, change);
  const second = choosePlan(latest.begin(), async () => ({ name: 'b', text: 'B' }), target, change);
  assert.equal(await second, true);
  answer({ name: 'a', text: 'A' });
  assert.equal(await first, false);
  assert.deepEqual(changes, [{ name: 'b', text: 'B' }, { target: 'running' }]);
});

test('what is typed while a plan’s target is looked for keeps its own', async () => {
  const latest = new Latest();
  const changes: unknown[] = [];
  const target = async () => (latest.begin(), 'swarm' as const);
  await choosePlan(latest.begin(), async () => ({ name: 'a', text: 'A' }), target, (part) => changes.push(part));
  assert.deepEqual(changes, [{ name: 'a', text: 'A' }]);
  const failing = choosePlan(latest.begin(), () => Promise.reject(new Error('x')), target, () => {});
  await assert.rejects(failing, /x/);
  const late = choosePlan(latest.begin(), () => Promise.reject(new Error('x')), target, () => {});
  latest.begin();
  assert.equal(await late, false);
});

test('the faults that are set are what was typed, to the digit', () => {
  for (const errorPercent of ['7', '1.5', '0.5', '33.3', '0.07', '100']) {
    const typed = { errorPercent, extraLatencyMs: '250', failing: 'no' };
    assert.deepEqual(textsOf(faultsFrom(typed)), typed);
  }
});
