/**
 * The deployment as a fold of events, with the same result as the server's (`src/wire/topology.rs`): both run the event
 * log in `tests/fixtures/events.json`.
 */
import type { Event, InstanceView, LinkView, Tier, Topology, WorkerView } from '../wire.ts';

/** The tiers in the order in which a request passes them. */
export const TIERS: readonly Tier[] = ['web', 'requester', 'broker', 'responder'];

/** Instances that ended stay visible for so long. */
const GONE_KEPT_MS = 30_000;

/** A deployment of which nothing is known. */
export const NOTHING: Topology = { instances: {}, links: {} };

/** Takes events in; `now` is the receiver's clock. Gives the same object back when nothing changed. */
export function foldTopology(topology: Topology, events: readonly Event[], now: number): Topology {
  let { instances, links } = topology;
  /** Views that this fold made, which it may change in place: a batch copies each instance once. */
  const own = new Set<InstanceView>();
  const put = (view: InstanceView): void => {
    if (instances === topology.instances) instances = { ...instances };
    instances[view.instance.id] = view;
    own.add(view);
  };
  for (const event of events) {
    switch (event.type) {
      case 'instance':
        put({ ...event.snapshot, workers: inOrder(event.snapshot.workers), seenAt: now });
        break;
      case 'instance-gone': {
        const view = instances[event.id];
        if (!view) break;
        const workers = view.workers.map((worker): WorkerView => ({ ...worker, state: 'gone' }));
        put({ ...view, seenAt: now, state: 'gone', reason: event.reason, workers });
        break;
      }
      case 'worker': {
        let view = instances[event.instance];
        if (!view) break;
        if (!own.has(view)) put((view = { ...view, workers: [...view.workers] }));
        const place = placeOf(view.workers, event.worker.index);
        view.workers.splice(place, view.workers[place]?.index === event.worker.index ? 1 : 0, event.worker);
        break;
      }
      case 'link': {
        const link = { state: event.state, ...(event.reason !== undefined && { reason: event.reason }) };
        links = { ...links, [event.address]: link };
        break;
      }
    }
  }
  return instances === topology.instances && links === topology.links ? topology : { instances, links };
}

/** A copy of the workers, by index. */
function inOrder(workers: readonly WorkerView[]): WorkerView[] {
  return workers.toSorted((a, b) => a.index - b.index);
}

/** The place of the first worker whose index is not lower. */
function placeOf(workers: readonly WorkerView[], index: number): number {
  let [low, high] = [0, workers.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((workers[middle]?.index ?? 0) < index) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Forgets instances that have been gone for half a minute. Gives the same object back when there is none. */
export function forget(topology: Topology, now: number): Topology {
  let isAnyGone = false;
  for (const id in topology.instances) isAnyGone ||= topology.instances[id]?.state === 'gone';
  if (!isAnyGone) return topology;
  const kept = Object.entries(topology.instances).filter(
    ([, view]) => view.state !== 'gone' || now - view.seenAt <= GONE_KEPT_MS,
  );
  if (kept.length === Object.keys(topology.instances).length) return topology;
  return { ...topology, instances: Object.fromEntries(kept) };
}

const byTier = new WeakMap<Topology, Map<Tier, InstanceView[]>>();

/** The living instances of a tier; a topology is gone through once for all tiers. */
export function living(topology: Topology, tier: Tier): readonly InstanceView[] {
  let tiers = byTier.get(topology);
  if (!tiers) {
    tiers = new Map(TIERS.map((one) => [one, []]));
    for (const view of Object.values(topology.instances)) {
      if (view.state !== 'gone') tiers.get(view.instance.tier)?.push(view);
    }
    byTier.set(topology, tiers);
  }
  return tiers.get(tier) ?? [];
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

const byNumber = new Intl.Collator('en', { numeric: true });

/** Orders names as people count: `pi-2` before `pi-10`. */
export const inNaturalOrder = (a: string, b: string): number => byNumber.compare(a, b);

/**
 * The links between the web tier and the requesters. An event of a link can be lost, is not sent again, and is that of
 * one web instance; the snapshots of each web instance repeat which addresses it has links to.
 */
export function linksOf(topology: Topology): LinkSummary[] {
  const webs = living(topology, 'web');
  const listed = new Set(webs.flatMap((view) => view.peers.map(({ address }) => address)));
  // Once no web instance lists it, a link that has ended is one whose requester has left. Where none lists any, somebody
  // has disconnected them all.
  const hasLeft = (address: string): boolean =>
    listed.size > 0 && !listed.has(address) && topology.links[address]?.state === 'disconnected';
  const addresses = new Set([...Object.keys(topology.links).filter((address) => !hasLeft(address)), ...listed]);
  return [...addresses].sort(inNaturalOrder).map((address) => {
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
