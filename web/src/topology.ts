/**
 * The deployment as a fold of events: the same as the server's (`src/model/topology.rs`), held together by the event
 * log in `tests/fixtures/events.json`, which both sides run.
 */
import type { Event, InstanceView, Ledger, LinkView, Tier, Topology, WorkerView } from './wire.ts';

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

/** The instance's name for people: its service and slot, or its id where it has no slot. */
export function nameOf(view: InstanceView): string {
  const { service, slot, id } = view.instance;
  return slot === null ? id : `${service}.${slot}`;
}

/** True for the tiers whose instances have a pool of workers that do the work. */
export const hasPool = (tier: Tier): boolean => tier === 'requester' || tier === 'responder';

/**
 * The links between the web tier and the requesters, by address. An event of a link can be lost on its way, and is not
 * told again; the web instances' snapshots say again and again which addresses are connected.
 */
export function linksOf(topology: Topology): [string, LinkView][] {
  const links = { ...topology.links };
  for (const { address, connected } of living(topology, 'web').flatMap((view) => view.peers)) {
    const told = links[address];
    if (connected) links[address] = { state: 'connected' };
    else if (!told || told.state === 'connected') links[address] = { state: 'disconnected' };
  }
  return Object.entries(links).sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }));
}

/** The counts of all living instances of a tier. */
export function ledgerOf(topology: Topology, tier: Tier): Ledger {
  const sum: Ledger = {
    sent: 0,
    responses: 0,
    errors: 0,
    timeouts: 0,
    inFlight: 0,
    duplicates: 0,
    late: 0,
    retries: 0,
  };
  for (const { ledger } of living(topology, tier)) {
    for (const key of Object.keys(sum) as (keyof Ledger)[]) sum[key] += ledger[key];
  }
  return sum;
}

/** True when every message sent has ended once or is in flight. */
export function isBalanced(ledger: Ledger): boolean {
  return ledger.sent === ledger.responses + ledger.errors + ledger.timeouts + ledger.inFlight;
}
