import assert from 'node:assert/strict';
import { test } from 'node:test';
import { layOut, markAt, markCentre, type Panel } from '../src/map/layout.ts';
import { neighbour } from '../src/map/neighbour.ts';
import type { InstanceView, Tier } from '../src/wire.ts';

function instance(tier: Tier, node: string, slot: number, workers: number): InstanceView {
  const id = `${tier}-${slot}`;
  return {
    instance: { id, tier, node, service: tier, slot: String(slot), version: '', pid: slot, startedAt: 0, admin: null },
    at: 0,
    state: 'ready',
    queue: 0,
    peers: [],
    hops: {},
    restarts: 0,
    droppedEvents: 0,
    seenAt: 0,
    workers: Array.from({ length: workers }, (_, index) => ({ index, id: '', state: 'idle', handled: 0, restarts: 0 })),
    ledger: { sent: 0, responses: 0, errors: 0, timeouts: 0, inFlight: 0, duplicates: 0, late: 0, retries: 0, expired: 0 },
  };
}

function swarm(nodes: number, perNode: number): InstanceView[] {
  const all = [instance('web', 'pi-1', 1, 0), instance('requester', 'pi-2', 1, 50)];
  for (let n = 1; n <= nodes; n += 1) {
    all.push(instance('broker', `pi-${n}`, n, 0), instance('responder', `pi-${n}`, n, perNode));
  }
  return all;
}

const bottom = (panel: Panel): number => panel.y + panel.height;

for (const [nodes, perNode] of [
  [1, 3],
  [8, 25],
  [8, 250],
  [40, 50],
] as const) {
  test(`${perNode} workers on each of ${nodes} nodes stay within their panels and apart`, () => {
    for (const width of [390, 1_000, 2_000]) {
      const instances = swarm(nodes, perNode);
      const layout = layOut(instances, width, 560, 1);
      const panels = [...layout.panels.values()];
      assert.equal(panels.length, instances.length);
      for (const panel of panels) {
        assert.ok(panel.x >= 0 && panel.x + panel.width <= width + 0.01 && bottom(panel) <= layout.height + 0.01);
        const last = markCentre(
          panel,
          (instances.find(({ instance: { id } }) => id === panel.id)?.workers.length ?? 1) - 1,
        );
        assert.ok(last.x < panel.x + panel.width && last.y < bottom(panel));
        const over = panels.filter(
          (other) =>
            other !== panel &&
            other.x < panel.x + panel.width &&
            panel.x < other.x + other.width &&
            other.y < bottom(panel) &&
            panel.y < bottom(other),
        );
        assert.deepEqual(over, []);
      }
    }
  });
}

test('nodes stand in the order of their numbers', () => {
  const { nodes } = layOut(swarm(10, 1), 1_000, 560, 1);
  const names = nodes.filter(({ key }) => key.startsWith('responder')).map(({ node }) => node);
  assert.deepEqual(names.slice(-2), ['pi-9', 'pi-10']);
});

test('a point on a mark finds it again', () => {
  const panel = layOut(swarm(8, 25), 1_000, 560, 1).panels.get('responder-3') as Panel;
  const { x, y } = markCentre(panel, 17);
  assert.equal(markAt(panel, x, y), 17);
  assert.equal(markAt(panel, panel.x - 5, y), undefined);
});

test('the arrow keys reach the next instance', () => {
  const layout = layOut(swarm(2, 3), 1_000, 560, 1);
  assert.equal(neighbour(layout, 'broker-1', 'ArrowRight'), 'responder-1');
  assert.equal(neighbour(layout, 'broker-1', 'ArrowDown'), 'broker-2');
  assert.equal(neighbour(layout, 'web-1', 'ArrowLeft'), undefined);
  assert.equal(neighbour(layout, 'web-1', 'Enter'), undefined);
});
