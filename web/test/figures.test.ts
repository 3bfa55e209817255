import assert from 'node:assert/strict';
import { test } from 'node:test';
import { foldRates, rateOf } from '../src/domain/rates.ts';
import { FRESH, loadFrom, requestFrom, type SendForm } from '../src/domain/send-form.ts';
import { NOTHING } from '../src/domain/topology.ts';
import { brief, duration, percent, rate, short } from '../src/ui/format.ts';
import type { InstanceView, Topology } from '../src/wire.ts';

test('durations come in the unit that suits them', () => {
  const written = [0, 0.48, 1.5, 12.4, 2_310, 45_000, 240_000, 7_200_000].map(duration);
  assert.deepEqual(written, ['0', '480 µs', '1.5 ms', '12 ms', '2.31 s', '45.0 s', '4 min', '2 h']);
});

test('durations are right where units meet, and far beyond', () => {
  const near = [0.9996, 9.96, 999.6, 9_996, 99_960].map(duration);
  assert.deepEqual(near, ['1.0 ms', '10 ms', '1.00 s', '10.0 s', '1 min 40 s']);
  const long = [100_000, 599_700, 9_000_000, 259_200_000].map(duration);
  assert.deepEqual(long, ['1 min 40 s', '10 min', '2 h 30 min', '3 d']);
  assert.equal(duration(-5), '−5.0 ms');
  const inMs = (text: string): number =>
    [...text.matchAll(/([\d.]+) (µs|ms|s|min|h|d)/g)].reduce((sum, [, value, unit = '']) => {
      const size = { µs: 0.001, ms: 1, s: 1_000, min: 60_000, h: 3_600_000, d: 86_400_000 }[unit] ?? NaN;
      return sum + Number(value) * size;
    }, 0);
  // Whatever is written, it is within a twentieth of what it was.
  for (let ms = 0.02; ms < 1e9; ms *= 1.013) {
    assert.ok(Math.abs(inMs(duration(ms)) / ms - 1) < 0.05, `${ms}: ${duration(ms)}`);
  }
});

test('figures are short', () => {
  assert.deepEqual([short(9_999), short(12_345), short(4_500_000)], ['9,999', '12.3k', '4.5M']);
  assert.deepEqual([short(999_400), short(999_960)], ['999k', '1M']);
  assert.deepEqual([rate(0.42), rate(2), rate(1_250)], ['0.4', '2', '1,250']);
  assert.deepEqual([rate(0.04), rate(0.004), rate(0)], ['0.04', '0.004', '0']);
  assert.deepEqual([0, 0.0004, 0.125, 0.9996, 1].map(percent), ['0 %', '0.04 %', '12.5 %', '>99.9 %', '100 %']);
  assert.deepEqual(
    [brief('7189ab9b-5454-4d1d-8741-71d3ddfb9dcf'), brief('23096'), brief('166199447519232')],
    ['7189ab9b', '23096', '…19232'],
  );
});

test('a form says what it asks for, and what is wrong', () => {
  assert.deepEqual(requestFrom(FRESH), { fanOut: 'all' });
  const form: SendForm = { ...FRESH, task: 'cpu', parameters: '{"rounds":5}', timeoutMs: ' 250 ' };
  assert.deepEqual(requestFrom(form), { fanOut: 'all', task: 'cpu', parameters: { rounds: 5 }, timeoutMs: 250 });
  assert.throws(() => requestFrom({ ...FRESH, parameters: '[1]' }), /JSON object/);
  assert.throws(() => requestFrom({ ...FRESH, parameters: '{a}' }), /not JSON/);
  assert.throws(() => requestFrom({ ...FRESH, timeoutMs: '0' }), /from 1 to/);
  assert.deepEqual(loadFrom({ ...FRESH, mode: 'burst' }), { count: 100, request: { fanOut: 'all' } });
  assert.deepEqual(loadFrom({ ...FRESH, mode: 'steady' }), { rate: 5, request: { fanOut: 'all' } });
  assert.throws(() => loadFrom({ ...FRESH, mode: 'steady', rate: '2000' }), /0.1 to 1000/);
});

/** A deployment of one instance that has sent so much at a time. */
const after = (uptimeMs: number, sent: number, state = 'ready'): Topology => ({
  ...NOTHING,
  instances: { i: { instance: { id: 'i' }, at: 0, uptimeMs, state, ledger: { sent } } as InstanceView },
});

test('a rate is that of the counts from its first measurement on', () => {
  let rates = foldRates({}, after(0, 0));
  assert.equal(rateOf(rates, 'i'), 0);
  for (let n = 1; n <= 10; n += 1) {
    rates = foldRates(rates, after(n * 500, n * 100));
    assert.equal(rateOf(rates, 'i'), 200, `measurement ${n}`);
  }
});

test('counts that come twice in a short time are no high rate', () => {
  let rates = foldRates(foldRates({}, after(0, 0)), after(500, 50));
  assert.equal(rateOf(rates, 'i'), 100);
  rates = foldRates(rates, after(502, 51));
  assert.equal(rateOf(rates, 'i'), 100);
  rates = foldRates(rates, after(1_002, 101));
  assert.ok(Math.abs(rateOf(rates, 'i') - 101) < 1.5);
});

test('a rate falls to zero, and ends with its instance', () => {
  let rates = foldRates(foldRates({}, after(0, 0)), after(500, 100));
  for (let n = 2; n < 30; n += 1) rates = foldRates(rates, after(n * 500, 100));
  assert.equal(rateOf(rates, 'i'), 0);
  assert.equal(foldRates(rates, after(14_500, 100)), rates, 'without news it is the same object');
  assert.deepEqual(foldRates(rates, after(15_000, 100, 'gone')), {});
  assert.deepEqual(foldRates(rates, NOTHING), {});
});

test('counts that begin again give no negative rate', () => {
  const rates = foldRates(foldRates({}, after(0, 0)), after(60_000, 6_000));
  assert.equal(rateOf(foldRates(rates, after(500, 10)), 'i'), 0);
});
