import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { foldTopology, forget, linksOf, living, nameOf, NOTHING } from '../src/domain/topology.ts';
import type { Event, InstanceView, Topology } from '../src/wire.ts';

interface Log {
  events: { event: Event; now: number }[];
  forgetAt: number;
  expected: Topology;
}

// The server's tests run the same log.
const log = JSON.parse(readFileSync('../../tests/fixtures/events.json', 'utf8')) as Log;
const folded = log.events.reduce((topology, { event, now }) => foldTopology(topology, [event], now), NOTHING);

test('the event log gives the topology that the server has', () => {
  assert.deepEqual(forget(folded, log.forgetAt), log.expected);
});

test('events that change nothing give the same object back', () => {
  const worker = { index: 0, id: '', state: 'busy', handled: 0, restarts: 0 } as const;
  const events: Event[] = [
    { type: 'worker', instance: 'nobody', at: 1, worker },
    { type: 'instance-gone', id: 'nobody', at: 1, reason: 'x' },
    { type: 'reply', at: 1, reply: {} as never },
  ];
  assert.equal(foldTopology(folded, events, 1), folded);
  assert.equal(forget(log.expected, log.forgetAt), log.expected);
});

test('a fold leaves what it was given as it was', () => {
  const before = structuredClone(folded);
  foldTopology(
    folded,
    log.events.map(({ event }) => event),
    99_000,
  );
  assert.deepEqual(folded, before);
});

test('links are known from the snapshots where their events were lost', () => {
  const web = log.expected.instances['web-1'] as InstanceView;
  const peers = [
    { address: '10.0.0.8:5678', connected: false },
    { address: '10.0.0.12:5678', connected: true },
  ];
  const topology = { ...log.expected, instances: { 'web-1': { ...web, peers } } };
  assert.deepEqual(
    linksOf(topology).map(({ address, state }) => [address, state]),
    [
      ['10.0.0.8:5678', 'disconnected'],
      ['10.0.0.12:5678', 'connected'],
    ],
  );
});

test('a link that one of two web instances has is connected, whichever is looked at first', () => {
  const web = log.expected.instances['web-1'] as InstanceView;
  const one = (id: string, connected: boolean): InstanceView => ({
    ...web,
    instance: { ...web.instance, id },
    peers: [{ address: '10.0.0.4:5678', connected }],
  });
  for (const ups of [
    [true, false],
    [false, true],
  ] as const) {
    const instances = { a: one('a', ups[0]), b: one('b', ups[1]) };
    const [link] = linksOf({ instances, links: {} });
    assert.deepEqual(link, { address: '10.0.0.4:5678', state: 'connected', connected: 1, webs: 2 });
  }
});

test('the gone count no more', () => {
  assert.equal(living(log.expected, 'broker').length, 0);
});

test('an instance is named by its service without the stack, and slot', () => {
  const web = log.expected.instances['web-1'] as InstanceView;
  const named = (service: string, slot: string | null): string =>
    nameOf({ ...web, instance: { ...web.instance, service, slot } });
  assert.equal(named('swarmq_responder', '3'), 'responder.3');
  assert.equal(named('my_own_stack_broker', '1'), 'broker.1');
  assert.equal(named('requester', '2'), 'requester.2');
  assert.equal(named('swarmq_spare', '1'), 'swarmq_spare.1');
  assert.equal(named('swarmq_web', null), 'web-1');
});

test('a link whose requester has left is listed no more, and those that were disconnected on purpose are', () => {
  const web = log.expected.instances['web-1'] as InstanceView;
  const links = { 'a:1': { state: 'disconnected' }, 'b:1': { state: 'disconnected' } } as const;
  const addresses = (peers: InstanceView['peers']): string[] =>
    linksOf({ instances: { 'web-1': { ...web, peers } }, links }).map(({ address }) => address);
  assert.deepEqual(addresses([{ address: 'c:1', connected: true }]), ['c:1']);
  assert.deepEqual(addresses([]), ['a:1', 'b:1']);
});

test('a worker whose neighbour’s event was lost stands in its order', () => {
  const worker = (index: number) => ({ index, id: '', state: 'idle', handled: 0, restarts: 0 }) as const;
  const view = { ...(log.expected.instances['requester-1'] as InstanceView), workers: [worker(0), worker(2)] };
  const before = { instances: { 'requester-1': view }, links: {} };
  const event: Event = { type: 'worker', instance: 'requester-1', at: 1, worker: worker(1) };
  const [after] = Object.values(foldTopology(before, [event], 1).instances);
  assert.deepEqual(after?.workers.map(({ index }) => index), [0, 1, 2]);
});
