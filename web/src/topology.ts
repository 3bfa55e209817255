/**
 * The deployment as a fold of events: the same as the server's (`src/wire/topology.rs`), held together by the event
 * log in `tests/fixtures/events.json`, which both sides run.
 */
import type { Event, InstanceView, LinkView, Tier, Topology, WorkerView } from './wire.ts';

/** The tiers in the order in which a request passes them. */
export const TIERS: readonly Tier[] = ['web', 'requester', 'broker', 'responder'];

/** Instances that ended stay visible for so long. */
const GONE_KEPT_MS = 30_000;

/** A deployment of which nothing is known. */
export const NOTHING: Topology = { instances: {}, links: {} };

/** Takes events in; `now` is the receiver's clock. Gives the same object back when nothing changed. */
export function foldTopology(topology: Topology, events: readonly Event[], now: number): Topology {
  let next = topology;
  for (const event of events) next = apply(next, event, now);
  return next;
}

function apply(topology: Topology, event: Event, now: number): Topology {
  switch (event.type) {
    case 'instance':
      return withInstance(topology, { ...event.snapshot, seenAt: now });
    case 'instance-gone': {
      const view = topology.instances[event.id];
      if (!view) return topology;
      const workers = view.workers.map((worker): WorkerView => ({ ...worker, state: 'gone' }));
      return withInstance(topology, { ...view, seenAt: now, state: 'gone', reason: event.reason, workers });
    }
    case 'worker': {
      const view = topology.instances[event.instance];
      if (!view) return topology;
      const place = view.workers.findIndex((known) => known.index === event.worker.index);
      const workers = place < 0 ? [...view.workers, event.worker] : view.workers.with(place, event.worker);
      return withInstance(topology, { ...view, workers });
    }
    case 'link': {
      const link = { state: event.state, ...(event.reason !== undefined && { reason: event.reason }) };
      return { ...topology, links: { ...topology.links, [event.address]: link } };
    }
    default:
      return topology;
  }
}

function withInstance(topology: Topology, view: InstanceView): Topology {
  return { ...topology, instances: { ...topology.instances, [view.instance.id]: view } };
}

/** Forgets instances that have been gone for half a minute. Gives the same object back when there is none. */
export function forget(topology: Topology, now: number): Topology {
  const kept = Object.entries(topology.instances).filter(
    ([, view]) => view.state !== 'gone' || now - view.seenAt <= GONE_KEPT_MS,
  );
  if (kept.length === Object.keys(topology.instances).length) return topology;
  return { ...topology, instances: Object.fromEntries(kept) };
}

/** The living instances of a tier. */
export function living(topology: Topology, tier: Tier): InstanceView[] {
  return Object.values(topology.instances).filter((view) => view.instance.tier === tier && view.state !== 'gone');
}

/** What a swarm puts before the name that a service has in its stack file: "swarmq_" of "swarmq_responder". */
const STACK = /^.+_(?=(web|requester|broker|responder)$)/;

/** The instance's name for people: its service, without the stack, and slot, or its id where it has no slot. */
export function nameOf(view: InstanceView): string {
  const { service, slot, id } = view.instance;
  return slot === null ? id : `${service.replace(STACK, '')}.${slot}`;
}

/** True for the tiers whose instances have a pool of workers that do the work. */
export const hasPool = (tier: Tier): boolean => tier === 'requester' || tier === 'responder';

/** A link between the web tier and a requester, as all web instances have it together. */
export interface LinkSummary extends LinkView {
  address: string;
  /** Web instances that are connected, and how many there are. */
  connected: number;
  webs: number;
}

/**
 * The links between the web tier and the requesters. An event of a link can be lost on its way, is not told again, and
 * is that of one web instance; the snapshots of each say again and again which addresses it is connected to.
 */
export function linksOf(topology: Topology): LinkSummary[] {
  const webs = living(topology, 'web');
  const addresses = new Set([
    ...Object.keys(topology.links),
    ...webs.flatMap((view) => view.peers.map(({ address }) => address)),
  ]);
  const order = new Intl.Collator('en', { numeric: true });
  return [...addresses].sort(order.compare).map((address) => {
    const ups = webs.filter((view) => view.peers.some((peer) => peer.address === address && peer.connected));
    const told = topology.links[address];
    const link: LinkView =
      ups.length > 0
        ? { state: 'connected' }
        : told && (told.state !== 'connected' || webs.length === 0)
          ? told
          : { state: 'disconnected' };
    return { address, ...link, connected: ups.length, webs: webs.length };
  });
}
