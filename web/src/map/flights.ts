/** Messages on their way: each a dot that runs along one or more links. */
import { outcomeOf, type Outcome } from '../domain/requests.ts';
import { living } from '../domain/topology.ts';
import type { Event, InstanceView, Topology } from '../wire.ts';
import { brokersOf } from './routes.ts';

/** A place a dot passes: an instance, or one of its workers. */
export interface Stop {
  id: string;
  /** The worker's place in the pool. */
  worker?: number;
}

/** One dot. It is at `stops[n]` when `n` legs have passed since `start`. */
export interface Flight {
  stops: Stop[];
  start: number;
  kind: 'message' | Outcome;
}

/** How long a dot takes from one tier to the next. */
export const LEG_MS = 380;

/** More dots than this tell nothing more. */
const MAX_DOTS = 400;

/** The dots on their way. */
export class Flights {
  #flights: Flight[] = [];
  /** Which broker an address belongs to, learned from the replies. */
  readonly #brokerAt = new Map<string, string>();
  readonly #sentTo = new Map<string, string>();

  /** Starts a dot for each message that these events tell of. */
  animate(events: readonly Event[], topology: Topology, now: number): void {
    for (const event of events) {
      const stops = this.#stopsOf(event, topology);
      const kind = event.type === 'reply' ? outcomeOf(event.reply) : 'message';
      for (const path of stops) {
        if (path.length > 1 && this.#flights.length < MAX_DOTS) this.#flights.push({ stops: path, start: now, kind });
      }
    }
  }

  /** The dots still on their way. */
  at(now: number): readonly Flight[] {
    this.#flights = this.#flights.filter(
      // A recording may be set back: what was then is over as well.
      ({ stops, start }) => Math.abs(now - start) < (stops.length - 1) * LEG_MS,
    );
    return this.#flights;
  }

  #stopsOf(event: Event, topology: Topology): Stop[][] {
    switch (event.type) {
      case 'request': {
        const web = living(topology, 'web')[0];
        const links = living(topology, 'requester').slice(0, event.links);
        return web ? links.map((view) => [{ id: web.instance.id }, { id: view.instance.id }]) : [];
      }
      case 'dispatched': {
        // Messages that get no reply would stay here for ever.
        if (this.#sentTo.size > MAX_DOTS) this.#sentTo.clear();
        this.#sentTo.set(event.messageId, event.broker);
        const broker = this.#brokerAt.get(event.broker) ?? living(topology, 'broker')[0]?.instance.id;
        return broker ? [[workerOf(topology.instances[event.instance], event.requesterId), { id: broker }]] : [];
      }
      case 'worker': {
        const view = topology.instances[event.instance];
        if (view?.instance.tier !== 'responder' || event.worker.state !== 'busy') return [];
        const broker = brokersOf(view, living(topology, 'broker'))[0];
        return broker ? [[{ id: broker.instance.id }, { id: event.instance, worker: event.worker.index }]] : [];
      }
      case 'reply':
        return [this.#wayBack(event.reply, topology)];
      default:
        return [];
    }
  }

  #wayBack(reply: { messageId: string; requesterId: string; responderId: number }, topology: Topology): Stop[] {
    const responder = holderOf(topology, 'responder', String(reply.responderId));
    const requester = holderOf(topology, 'requester', reply.requesterId);
    const web = living(topology, 'web')[0];
    const stops: Stop[] = [];
    if (responder) {
      const broker = brokersOf(responder, living(topology, 'broker'))[0];
      stops.push(workerOf(responder, String(reply.responderId)));
      if (broker) {
        stops.push({ id: broker.instance.id });
        const address = this.#sentTo.get(reply.messageId);
        // Each restarted broker may have a new address.
        if (this.#brokerAt.size > MAX_DOTS) this.#brokerAt.clear();
        if (address !== undefined) this.#brokerAt.set(address, broker.instance.id);
      }
    }
    this.#sentTo.delete(reply.messageId);
    if (requester) stops.push(workerOf(requester, reply.requesterId));
    if (web) stops.push({ id: web.instance.id });
    return stops;
  }
}

function holderOf(topology: Topology, tier: 'requester' | 'responder', worker: string): InstanceView | undefined {
  return living(topology, tier).find((view) => view.workers.some(({ id }) => id === worker));
}

function workerOf(view: InstanceView | undefined, id: string): Stop {
  const worker = view?.workers.find((known) => known.id === id);
  return worker ? { id: view?.instance.id ?? '', worker: worker.index } : { id: view?.instance.id ?? '' };
}
