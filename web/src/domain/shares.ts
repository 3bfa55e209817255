/** Who did how much of the work. */
import { living } from './topology.ts';
import type { Topology } from '../wire.ts';

/** The part of the work that a worker or a node did. */
export interface Share {
  name: string;
  handled: number;
  /** Of all, from 0 to 1. */
  share: number;
}

/** The messages done by each responder worker, most first. */
export function sharesByWorker(topology: Topology): Share[] {
  return shares(
    living(topology, 'responder').flatMap((view) =>
      view.workers.map((worker) => [worker.id || `${view.instance.id}/${worker.index}`, worker.handled]),
    ),
  );
}

/** The messages done on each node, most first. */
export function sharesByNode(topology: Topology): Share[] {
  return shares(
    living(topology, 'responder').flatMap((view) => view.workers.map((worker) => [view.instance.node, worker.handled])),
  );
}

function shares(counts: [string, number][]): Share[] {
  const sums = new Map<string, number>();
  for (const [name, handled] of counts) sums.set(name, (sums.get(name) ?? 0) + handled);
  const all = [...sums.values()].reduce((sum, handled) => sum + handled, 0);
  return [...sums]
    .map(([name, handled]) => ({ name, handled, share: all > 0 ? handled / all : 0 }))
    .sort((a, b) => b.handled - a.handled);
}
