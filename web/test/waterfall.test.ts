import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tookMs, waterfall } from '../src/domain/waterfall.ts';
import type { Reply, RequestView } from '../src/wire.ts';

const request: RequestView = {
  requestId: 'a',
  at: 1_000,
  task: null,
  fanOut: 'all',
  timeoutMs: null,
  links: 1,
  status: 'pending',
  messages: [{ messageId: 'm', requesterId: 'r', instance: 'i' }],
  replies: [],
  counts: { responses: 0, errors: 0, timeouts: 0 },
};
const reply: Reply = {
  responderId: 7,
  requesterId: 'r',
  respondedAt: 1_050,
  body: '',
  responseType: 'Response',
  requestId: 'a',
  messageId: 'm',
  requestedAt: 1_010,
};

test('timings become phases that end with the total', () => {
  const timings = { queuedUs: 10_000, wireUs: 4_000, brokerUs: 6_000, serviceUs: 20_000, totalUs: 41_000 };
  const { lines, span } = waterfall({ ...request, replies: [{ ...reply, timings }] }, 2_000);
  assert.deepEqual(
    lines[0]?.phases.map(({ name, from, to }) => [name, from, to]),
    [
      ['queued', 0, 10],
      ['wire', 10, 12],
      ['broker', 12, 18],
      ['service', 18, 38],
      ['back', 38, 41],
    ],
  );
  assert.equal(span, 41);
});

test('a reply without timings is one phase', () => {
  const { lines } = waterfall({ ...request, replies: [reply] }, 2_000);
  assert.deepEqual(lines[0]?.phases, [{ name: 'whole', from: 10, to: 50 }]);
});

test('a message on its way grows with the time', () => {
  const sent = { ...request, messages: [{ messageId: 'm', requesterId: 'r', instance: 'i', dispatchedAt: 1_100 }] };
  const { lines, span } = waterfall(sent, 1_400);
  assert.deepEqual(
    lines[0]?.phases.map(({ from, to }) => [from, to]),
    [
      [0, 100],
      [100, 400],
    ],
  );
  assert.equal(lines[0]?.outcome, 'pending');
  assert.equal(span, 400);
});

test('a request on its way is drawn on the scale that is usual, and one that has ended on its own', () => {
  assert.equal(waterfall(request, 1_400, 2_000).span, 2_000);
  assert.equal(waterfall(request, 4_000, 2_000).span, 3_000);
  assert.equal(waterfall({ ...request, totalUs: 500_000, status: 'complete' }, 4_000, 2_000).span, 500);
});

test('a message of which no more was told does not seem to be on its way for ever', () => {
  const ended: RequestView = { ...request, totalUs: 500_000, status: 'complete' };
  assert.equal(waterfall(ended, 4_000).lines[0]?.outcome, 'notReported');
});

test('a reply whose promise was left out still has its line', () => {
  const { lines } = waterfall({ ...request, messages: [], replies: [reply] }, 2_000);
  assert.equal(lines.length, 1);
  assert.equal(lines[0]?.outcome, 'response');
});

test('no duration is less than nothing, however the machines’ clocks differ', () => {
  const skewed = { ...reply, requestedAt: 5_000, respondedAt: 1_050 };
  assert.equal(tookMs(skewed), undefined);
  assert.equal(tookMs({ ...skewed, timings: { totalUs: 40_000 } }), 40);
  assert.equal(tookMs(reply), 40);
  const { lines } = waterfall({ ...request, replies: [skewed] }, 2_000);
  assert.ok(lines[0]?.phases.every(({ from, to }) => to >= from));
  // By the requester's clock it was sent an hour after the request began.
  const messages = [{ messageId: 'm', requesterId: 'r', instance: 'i', dispatchedAt: 3_601_000 }];
  const [line] = waterfall({ ...request, messages }, 1_400).lines;
  assert.deepEqual(line?.phases, [{ name: 'whole', from: 0, to: 400 }]);
});
