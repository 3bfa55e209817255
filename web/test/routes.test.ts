import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { brokersOf, routesOf } from '../src/map/routes.ts';
import type { InstanceView, Tier, Topology } from '../src/wire.ts';

const { expected } = JSON.parse(readFileSync('../../tests/fixtures/events.json', 'utf8')) as { expected: Topology };
const example = expected.instances['web-1'] as InstanceView;

const instance = (id: string, tier: Tier, more: Partial<InstanceView> = {}, admin: string | null = null) => ({
  ...example,
  peers: [],
  ...more,
  instance: { ...example.instance, id, tier, admin },
});

test('a line shows the state of that very connection', () => {
  const peers = [
    { address: '10.0.0.1:5678', connected: true },
    { address: '10.0.0.2:5678', connected: false },
  ];
  const views = [
    instance('web', 'web', { peers }),
    instance('up', 'requester', { listens: '10.0.0.1:5678' }),
    instance('down', 'requester', { listens: '10.0.0.2:5678' }),
    instance('unknown', 'requester'),
  ];
  const topology = { instances: Object.fromEntries(views.map((view) => [view.instance.id, view])), links: {} };
  const ups = routesOf(topology).map(({ to, up }) => [to, up]);
  assert.deepEqual(ups, [
    ['up', true],
    ['down', false],
    ['unknown', true],
  ]);
});

test('the broker of a responder is that of its own container, though all on a node have one process id', () => {
  const brokers = [instance('a', 'broker', {}, '10.0.0.1:9090'), instance('b', 'broker', {}, '10.0.0.2:9090')];
  const own = brokersOf(instance('r', 'responder', {}, '10.0.0.2:9090'), brokers);
  assert.deepEqual(
    own.map((view) => view.instance.id),
    ['b'],
  );
});
