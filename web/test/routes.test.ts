import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { brokersOf } from '../src/picture/routes.ts';
import type { InstanceView, Tier, Topology } from '../src/wire.ts';

const { expected } = JSON.parse(readFileSync('../../tests/fixtures/events.json', 'utf8')) as { expected: Topology };
const example = expected.instances['web-1'] as InstanceView;

const instance = (id: string, tier: Tier, more: Partial<InstanceView> = {}, admin: string | null = null) => ({
  ...example,
  peers: [],
  ...more,
  instance: { ...example.instance, id, tier, admin },
});

test('the broker of a responder is that of its own container, though all on a node have one process id', () => {
  const brokers = [instance('a', 'broker', {}, '10.0.0.1:9090'), instance('b', 'broker', {}, '10.0.0.2:9090')];
  const own = brokersOf(instance('r', 'responder', {}, '10.0.0.2:9090'), brokers);
  assert.deepEqual(
    own.map((view) => view.instance.id),
    ['b'],
  );
});
