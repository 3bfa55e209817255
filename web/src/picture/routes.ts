/** Which instance passes messages to which, and how many: the links of the picture. */
import type { Rates } from '../rates.ts';
import { living } from '../topology.ts';
import type { InstanceView, Topology } from '../wire.ts';

/** A link between two instances of neighbouring tiers. */
export interface Route {
  from: string;
  to: string;
  up: boolean;
  /** Messages a second. */
  perS: number;
}

/** The links between the living instances, with what flows over them. */
export function routesOf(topology: Topology, rates: Rates): Route[] {
  const [webs, requesters, brokers, responders] = (['web', 'requester', 'broker', 'responder'] as const).map((tier) =>
    living(topology, tier),
  ) as [InstanceView[], InstanceView[], InstanceView[], InstanceView[]];
  return [
    ...cross(webs, requesters, rates, isConnected),
    ...cross(requesters, brokers, rates, isConnected),
    ...responders.flatMap((responder) => cross(brokersOf(responder, brokers), [responder], rates, () => true)),
  ];
}

/** Whether one is connected to the other; where that one's address is not among its peers, whether it is to any. */
function isConnected(from: InstanceView, to: InstanceView): boolean {
  const peer = from.peers.find(({ address }) => address === to.listens);
  return peer ? peer.connected : from.peers.some(({ connected }) => connected);
}

/** The brokers that give a responder its messages: the one in its own process, or else every one. */
export function brokersOf(responder: InstanceView, brokers: readonly InstanceView[]): InstanceView[] {
  // Of containers on one node each has the same process id.
  const { node, pid, admin } = responder.instance;
  const own = brokers.filter(
    ({ instance }) => instance.node === node && instance.pid === pid && instance.admin === admin,
  );
  return own.length > 0 ? own : [...brokers];
}

/**
 * Every one of `from` with every one of `to`. Instances count their messages, not by peer: a link's share is taken as
 * that of both its ends, which is what rotation over the peers gives.
 */
function cross(
  from: readonly InstanceView[],
  to: readonly InstanceView[],
  rates: Rates,
  up: (from: InstanceView, to: InstanceView) => boolean,
): Route[] {
  const rateOf = (view: InstanceView): number => rates[view.instance.id] ?? 0;
  const total = from.reduce((sum, view) => sum + rateOf(view), 0);
  return from.flatMap((source) =>
    to.map((target) => ({
      from: source.instance.id,
      to: target.instance.id,
      up: up(source, target),
      perS: total > 0 ? (rateOf(target) * rateOf(source)) / total : 0,
    })),
  );
}
