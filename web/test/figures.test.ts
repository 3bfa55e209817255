import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FRESH, loadFrom, requestFrom, type SendForm } from '../src/domain/send-form.ts';
import { rateOf } from '../src/map/rates.ts';
import { brief, duration, percent, rate, short } from '../src/ui/format.ts';

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

test('rates say their unit', () => {
  assert.deepEqual([rateOf('web', 3), rateOf('requester', 27)], ['3 requests/s', '27 messages/s']);
});
