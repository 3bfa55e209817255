/** Workers that came or went a moment ago, so that the picture can show it. */
import type { Topology } from '../wire.ts';
import { placesOf } from './layout.ts';

/** How long a change is shown. */
export const CHANGE_MS = 900;

/** A worker that came to or went from its pool. */
interface Change {
  id: string;
  place: number;
  at: number;
}

/** What changed between one topology and the next. */
export class Changes {
  #sizes = new Map<string, number>();
  #arrivals = new Map<string, Change>();
  departures: Change[] = [];
  #touched = new Set<string>();

  /** Takes the topology in. What is there when the page learns of the first instances does not count as new. */
  update(topology: Topology, now: number): void {
    const before = this.#sizes;
    this.#sizes = new Map(Object.entries(topology.instances).map(([id, view]) => [id, placesOf(view)]));
    if (before.size === 0) return;
    for (const [id, size] of this.#sizes) {
      const last = before.get(id) ?? 0;
      for (let place = last; place < size; place += 1) this.#arrivals.set(`${id}/${place}`, { id, place, at: now });
      for (let place = size; place < last; place += 1) this.departures.push({ id, place, at: now });
    }
    // Nothing may be drawn for hours, where the page is hidden.
    this.#forget(now);
  }

  /** Share (0 to 1) of its arrival that a worker has behind it. */
  arrived(id: string, place: number, now: number): number {
    const arrival = this.#arrivals.get(`${id}/${place}`);
    return arrival ? Math.max(0, Math.min(1, (now - arrival.at) / CHANGE_MS)) : 1;
  }

  /** True while a change of this instance is to be shown. */
  touches(id: string): boolean {
    return this.#touched.has(id);
  }

  /** The instances with changes to be shown, and those that had one until now: they are drawn once more. */
  active(now: number): ReadonlySet<string> {
    const before = this.#touched;
    this.#forget(now);
    return before.size > 0 ? new Set([...before, ...this.#touched]) : this.#touched;
  }

  #forget(now: number): void {
    // A clock may be set back: what was then is over as well.
    const isShown = ({ at }: Change): boolean => Math.abs(now - at) < CHANGE_MS;
    for (const [key, arrival] of this.#arrivals) if (!isShown(arrival)) this.#arrivals.delete(key);
    this.departures = this.departures.filter(isShown);
    this.#touched = new Set([...this.#arrivals.values(), ...this.departures].map(({ id }) => id));
  }
}
