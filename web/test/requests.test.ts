import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ALL, filterFrom, matches, nodesOf } from '../src/domain/filter.ts';
import { foldRequests, outcomeOf, requestsFrom } from '../src/domain/requests.ts';
import type { Event, Reply, RequestView, Topology } from '../src/wire.ts';

// The server's tests run the same log.
const { events, requests } = JSON.parse(readFileSync('../../tests/fixtures/events.json', 'utf8')) as {
  events: { event: Event }[];
  requests: RequestView[];
};
const view = foldRequests(
  new Map(),
  events.map(({ event }) => event),
).get('q-1') as RequestView;

const began = (requestId: string): Event => ({
  type: 'request',
  requestId,
  at: 1,
  task: null,
  fanOut: 'all',
  timeoutMs: null,
  links: 1,
});
const reply = (part: Partial<Reply>): Reply => ({
  responderId: 7,
  requesterId: 'r',
  respondedAt: 2,
  body: '',
  responseType: 'Response',
  requestId: 'a',
  messageId: 'm',
  requestedAt: 1,
  ...part,
});

test('a request gathers its messages, replies, losses and outcome', () => {
  assert.equal(view.status, 'failed');
  assert.deepEqual(view.counts, { responses: 1, errors: 1, timeouts: 0 });
  assert.deepEqual(
    view.messages.map(({ messageId, lost, dispatchedAt }) => [messageId, lost !== undefined, dispatchedAt]),
    [
      ['m-1', false, 1071],
      ['m-2', true, undefined],
    ],
  );
  assert.equal(view.totalUs, 24_000);
});

test('the event log gives the requests that the server has', () => {
  const folded = foldRequests(
    new Map(),
    events.map(({ event }) => event),
  );
  // As JSON, which knows no undefined.
  assert.deepEqual(JSON.parse(JSON.stringify([...folded.values()].toReversed())), requests);
});

test('a message is known when it is sent, also before it is promised', () => {
  const sent = events.map(({ event }) => event).filter(({ type }) => type === 'request' || type === 'dispatched');
  const before = foldRequests(new Map(), sent).get('q-1');
  assert.deepEqual(
    before?.messages.map(({ messageId, dispatchedAt }) => [messageId, dispatchedAt]),
    [['m-1', 1071]],
  );
  const promised = events.map(({ event }) => event).filter(({ type }) => type === 'accepted');
  const after = foldRequests(new Map([['q-1', before as RequestView]]), promised).get('q-1');
  assert.deepEqual(
    after?.messages.map(({ messageId, dispatchedAt }) => [messageId, dispatchedAt]),
    [
      ['m-1', 1071],
      ['m-2', undefined],
    ],
  );
});

test('replies count before the outcome is known', () => {
  const timeout = reply({ responderId: -1, responseType: 'Error' });
  const folded = foldRequests(new Map(), [began('a'), { type: 'reply', at: 2, reply: timeout }]);
  assert.deepEqual(folded.get('a')?.counts, { responses: 0, errors: 0, timeouts: 1 });
});

test('a second reply is kept as well, as it is by the server, and a request begins once', () => {
  const folded = foldRequests(new Map(), [began('a'), { type: 'reply', at: 2, reply: reply({}) }]);
  const twice = foldRequests(folded, [{ type: 'reply', at: 3, reply: reply({}) }, began('a')]);
  assert.equal(twice.get('a')?.replies.length, 2);
  assert.equal(twice.get('a')?.counts.responses, 2);
});

test('a request of ten thousand messages is folded without a walk over them for each', () => {
  const messages = Array.from({ length: 10_000 }, (_, n) => ({ messageId: `m${n}`, requesterId: 'r' }));
  const taken = foldRequests(new Map(), [
    began('a'),
    { type: 'accepted', requestId: 'a', at: 1, accepted: { instance: 'i', messages } },
  ]);
  let reads = 0;
  const counted = (taken.get('a') as RequestView).messages.map((message) =>
    Object.defineProperty({ ...message }, 'messageId', { get: () => ((reads += 1), message.messageId), enumerable: true }),
  );
  const sent = messages.map(({ messageId, requesterId }): Event => {
    return { type: 'dispatched', requestId: 'a', messageId, requesterId, instance: 'i', broker: 'b', attempt: 1, at: 2 };
  });
  const folded = foldRequests(new Map([['a', { ...(taken.get('a') as RequestView), messages: counted }]]), sent).get('a');
  assert.ok(folded?.messages.length === 10_000 && folded.messages.every(({ dispatchedAt }) => dispatchedAt === 2));
  assert.ok(reads <= 50_000, `${reads} reads`);
});

test('the oldest make room for the newest', () => {
  const many = Array.from({ length: 12 }, (_, n) => began(`q${n}`));
  const folded = foldRequests(new Map(), many, 10);
  assert.equal(folded.size, 10);
  assert.equal(folded.keys().next().value, 'q2');
  assert.equal(foldRequests(folded, [began('new')], 5).size, 5, 'also where fewer are kept than before');
});

test('events of unknown requests give the same object back', () => {
  const none = new Map();
  assert.equal(foldRequests(none, [{ type: 'reply', at: 1, reply: reply({}) }]), none);
});

test('a snapshot comes newest first and is kept oldest first', () => {
  const [a, b] = [
    { ...view, requestId: 'a' },
    { ...view, requestId: 'b' },
  ];
  assert.deepEqual([...requestsFrom([b, a]).keys()], ['a', 'b']);
});

test('outcomes are told as the server tells them', () => {
  assert.equal(outcomeOf(reply({})), 'response');
  assert.equal(outcomeOf(reply({ responseType: 'Error' })), 'error');
  assert.equal(outcomeOf(reply({ responseType: 'Error', responderId: -1 })), 'timeout');
  assert.equal(outcomeOf(reply({ responseType: 'Error', responderId: -1, code: 'lost' })), 'error');
  assert.equal(outcomeOf(reply({ responseType: 'Error', code: 'timeout' })), 'timeout');
});

test('a filter applies to one reply as a whole', () => {
  const mixed = { ...view, replies: [reply({ node: 'pi-1' }), reply({ node: 'pi-2', responseType: 'Error' })] };
  assert.ok(matches(mixed, ALL));
  assert.ok(matches(mixed, { ...ALL, outcome: 'error', node: 'pi-2' }));
  assert.ok(!matches(mixed, { ...ALL, outcome: 'error', node: 'pi-1' }));
  assert.ok(matches(mixed, { ...ALL, worker: '7' }));
  assert.ok(!matches(mixed, { ...ALL, outcome: 'pending' }));
});

test('a lost message counts among the errors', () => {
  assert.ok(matches(view, { ...ALL, outcome: 'error' }));
});

test('a filter is read from an address, and nodes are counted in order', () => {
  assert.deepEqual(filterFrom({}), ALL);
  const query = { outcome: 'error', node: 'pi-1', worker: 'x' };
  assert.deepEqual(filterFrom(query), query);
  assert.equal(filterFrom({ outcome: 'other' }).outcome, '');
  const instances = Object.fromEntries(['pi-10', 'pi-2', 'pi-2'].map((node, id) => [id, { instance: { node } }]));
  assert.deepEqual(nodesOf({ instances, links: {} } as unknown as Topology), ['pi-2', 'pi-10']);
});
