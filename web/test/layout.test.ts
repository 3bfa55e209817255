import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Changes } from '../src/map/changes.ts';
import { layOut, markAt, markCentre, type Panel } from '../src/map/layout.ts';
import { neighbour } from '../src/map/neighbour.ts';
import { flowsOf, routesOf } from '../src/map/routes.ts';
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

test('an instance with a gap among its workers has room for the last of them', () => {
  const [web, requester] = swarm(1, 1);
  assert.ok(web && requester);
  const sparse = { ...requester, workers: requester.workers.filter(({ index }) => index === 0 || index === 49) };
  const panel = layOut([web, sparse], 1_000, 560, 1).panels.get('requester-1') as Panel;
  const { x, y } = markCentre(panel, 49);
  assert.ok(x < panel.x + panel.width && y < bottom(panel));
});

test('what came or went is forgotten, also where nothing is drawn', () => {
  const changes = new Changes();
  const topology = (workers: number) => ({ instances: { r: instance('responder', 'n', 1, workers) }, links: {} });
  changes.update(topology(2), 0);
  for (let turn = 1; turn <= 100; turn += 1) changes.update(topology(turn % 2 === 0 ? 2 : 5), turn * 1_000);
  assert.equal(changes.departures.length, 3);
  assert.ok(changes.touches('r'));
  changes.update(topology(2), 200_000);
  assert.equal(changes.departures.length, 0);
  assert.deepEqual([...changes.active(201_000)], []);
});

test('links between many instances meet in a hub, and carry as much', () => {
  const requesters = Array.from({ length: 50 }, (_, n) => instance('requester', 'n', n, 1));
  const brokers = Array.from({ length: 50 }, (_, n) => instance('broker', 'n', n, 0));
  const instances = Object.fromEntries([...requesters, ...brokers].map((view) => [view.instance.id, view]));
  const routes = routesOf({ instances, links: {} });
  assert.equal(routes.length, 100);
  const rates = Object.fromEntries(Object.keys(instances).map((id) => [id, 3]));
  assert.ok(flowsOf(routes, rates).every((perS) => perS === 3));
  const few = routesOf({ instances: { a: requesters[0] as InstanceView, b: brokers[0] as InstanceView }, links: {} });
  assert.deepEqual(few.map(({ from, to }) => [from, to]), [['requester-0', 'broker-0']]);
});
