/** Which instance passes messages to which: the links of the picture. */
import { living } from '../domain/topology.ts';
import type { InstanceView, Tier, Topology } from '../wire.ts';
import type { Rates } from './rates.ts';

/** A link between two instances of neighbouring tiers. In place of one of them it may have a hub. */
export interface Route {
  from: string | Hub;
  to: string | Hub;
  up: boolean;
}

/** A point half way between two tiers, where the links of many instances meet. */
export interface Hub {
  before: Tier;
  after: Tier;
}

/** More links than this between two tiers are drawn by way of a hub. */
const MAX_DIRECT = 400;

/** The links between the living instances. */
export function routesOf(topology: Topology): Route[] {
  const [webs, requesters, brokers, responders] = (['web', 'requester', 'broker', 'responder'] as const).map((tier) =>
    living(topology, tier),
  ) as [InstanceView[], InstanceView[], InstanceView[], InstanceView[]];
  const inProcess = brokersByProcess(brokers);
  const apart = responders.filter((responder) => !inProcess.has(processOf(responder)));
  return [
    ...connectAll(webs, requesters, isConnected),
    ...connectAll(requesters, brokers, isConnected),
    ...connectAll(brokers, apart, () => true),
    ...responders.flatMap((responder) =>
      (inProcess.get(processOf(responder)) ?? []).map((broker) => route(broker, responder, true)),
    ),
  ];
}

/** What the routes depend on, as a text: they are made again when it changes, and not with every count. */
export function routeShape({ instances }: Topology): string {
  return Object.values(instances)
    .map(({ instance: { id }, state, peers, listens = '' }) =>
      state === 'gone' ? '' : `${id} ${listens} ${peers.map(({ connected }) => (connected ? '+' : '-')).join('')}`,
    )
    .join();
}

/** Whether one is connected to the other; where that one's address is not among its peers, whether it is to any. */
function isConnected(from: InstanceView, to?: InstanceView): boolean {
  const peer = to && from.peers.find(({ address }) => address === to.listens);
  return peer ? peer.connected : from.peers.some(({ connected }) => connected);
}

/** The brokers that give a responder its messages: the one in its own process, or else every one. */
export function brokersOf(responder: InstanceView, brokers: readonly InstanceView[]): InstanceView[] {
  const own = brokersByProcess(brokers).get(processOf(responder));
  return own ?? [...brokers];
}

/** Of containers on one node each has the same process id. */
const processOf = ({ instance: { node, pid, admin } }: InstanceView): string => `${pid} ${admin} ${node}`;

function brokersByProcess(brokers: readonly InstanceView[]): Map<string, InstanceView[]> {
  const found = new Map<string, InstanceView[]>();
  for (const broker of brokers) {
    const process = processOf(broker);
    found.set(process, [...(found.get(process) ?? []), broker]);
  }
  return found;
}

const route = (from: InstanceView, to: InstanceView, up: boolean): Route => ({
  from: from.instance.id,
  to: to.instance.id,
  up,
});

/** Every one of `from` with every one of `to`, by way of a hub if they are many. */
function connectAll(
  from: readonly InstanceView[],
  to: readonly InstanceView[],
  isUp: (from: InstanceView, to?: InstanceView) => boolean,
): Route[] {
  const [first, second] = [from[0], to[0]];
  if (!first || !second) return [];
  if (from.length * to.length <= MAX_DIRECT) {
    return from.flatMap((source) => to.map((target) => route(source, target, isUp(source, target))));
  }
  const hub: Hub = { before: first.instance.tier, after: second.instance.tier };
  return [
    ...from.map((source) => ({ from: source.instance.id, to: hub, up: isUp(source) })),
    ...to.map((target) => ({ from: hub, to: target.instance.id, up: true })),
  ];
}

/**
 * Messages a second over each route. Instances count their messages, not by peer: a link's share is taken as that of
 * both its ends, which is what rotation over the peers gives.
 */
export function flowsOf(routes: readonly Route[], rates: Rates): number[] {
  const rate = (end: string | Hub): number => (typeof end === 'string' ? (rates[end] ?? 0) : 0);
  const sources = new Map<string, Set<string>>();
  for (const { from, to } of routes) {
    if (typeof from !== 'string' || typeof to !== 'string') continue;
    sources.set(to, (sources.get(to) ?? new Set()).add(from));
  }
  const totals = new Map([...sources].map(([to, of]) => [to, [...of].reduce((sum, from) => sum + rate(from), 0)]));
  return routes.map(({ from, to }) => {
    if (typeof from !== 'string') return rate(to);
    if (typeof to !== 'string') return rate(from);
    const total = totals.get(to) ?? 0;
    return total > 0 ? (rate(to) * rate(from)) / total : 0;
  });
}
