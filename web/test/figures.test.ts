import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brief, duration, percent, rate, short } from '../src/format.ts';
import { rateOf } from '../src/rates.ts';
import { FRESH, loadFrom, requestFrom, type SendForm } from '../src/send-form.ts';

test('durations come in the unit that suits them', () => {
  const said = [0, 0.48, 1.5, 12.4, 2_310, 45_000, 240_000, 7_200_000].map(duration);
  assert.deepEqual(said, ['0', '480 µs', '1.5 ms', '12 ms', '2.31 s', '45.0 s', '4 min', '2 h']);
});

test('figures are short', () => {
  assert.deepEqual([short(9_999), short(12_345), short(4_500_000)], ['9,999', '12.3k', '4.5M']);
  assert.deepEqual([rate(0.42), rate(2), rate(1_250)], ['0.4', '2', '1,250']);
  assert.equal(percent(0.125), '12.5 %');
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
