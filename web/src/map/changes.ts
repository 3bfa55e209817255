/** Workers that came or went a moment ago, so that the picture can show it. */
import type { Topology } from '../wire.ts';

/** How long a change is shown. */
export const CHANGE_MS = 900;

/** A worker that is no longer in its pool. */
export interface Departure {
  id: string;
  place: number;
  at: number;
}

/** What changed between one topology and the next. */
export class Changes {
  #sizes = new Map<string, number>();
  #arrivals = new Map<string, number>();
  departures: Departure[] = [];

  /** Takes the topology in. What is there when the page learns of the first instances does not count as new. */
  update(topology: Topology, now: number): void {
    const before = this.#sizes;
    const sizes = new Map(Object.entries(topology.instances).map(([id, view]) => [id, view.workers.length]));
    this.#sizes = sizes;
    if (before.size === 0) return;
    for (const [id, size] of sizes) {
      const last = before.get(id) ?? 0;
      for (let place = last; place < size; place += 1) this.#arrivals.set(`${id}/${place}`, now);
      for (let place = size; place < last; place += 1) this.departures.push({ id, place, at: now });
    }
  }

  /** Share (0 to 1) of its arrival that a worker has behind it. */
  arrived(id: string, place: number, now: number): number {
    if (this.#arrivals.size === 0) return 1;
    const at = this.#arrivals.get(`${id}/${place}`);
    return at === undefined ? 1 : Math.max(0, Math.min(1, (now - at) / CHANGE_MS));
  }

  /** True while any change is still to be shown; forgets those that were. */
  active(now: number): boolean {
    for (const [key, at] of this.#arrivals) if (now - at >= CHANGE_MS) this.#arrivals.delete(key);
    this.departures = this.departures.filter(({ at }) => now - at < CHANGE_MS);
    return this.#arrivals.size + this.departures.length > 0;
  }
}
