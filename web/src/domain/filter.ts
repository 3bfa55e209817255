/** Which requests are shown. */
import type { RequestView, Topology } from '../wire.ts';
import { outcomeOf } from './requests.ts';
import { inNaturalOrder } from './topology.ts';

/** The outcomes that can be asked for. */
export const OUTCOMES = ['pending', 'response', 'error', 'timeout'] as const;

export interface Filter {
  outcome: '' | (typeof OUTCOMES)[number];
  node: string;
  /** Part of a requester's or responder's id. */
  worker: string;
}

/** The filter that lets everything through. */
export const ALL: Filter = { outcome: '', node: '', worker: '' };

/** True for a request with a message to which all of the filter applies. */
export function matches(request: RequestView, { outcome, node, worker }: Filter): boolean {
  if (outcome === 'pending') {
    const byWorker = request.messages.some((message) => message.requesterId.includes(worker));
    return request.status === 'pending' && !node && (!worker || byWorker);
  }
  if (!outcome && !node && !worker) return true;
  if (outcome === 'error' && !node && !worker && request.messages.some((message) => message.lost !== undefined))
    return true;
  return request.replies.some(
    (reply) =>
      (!outcome || outcomeOf(reply) === outcome) &&
      (!node || reply.node === node) &&
      (!worker || reply.requesterId.includes(worker) || String(reply.responderId).includes(worker)),
  );
}

/** The filter that an address asks for. */
export function filterFrom({ outcome, node = '', worker = '' }: Readonly<Record<string, string>>): Filter {
  return { outcome: OUTCOMES.find((one) => one === outcome) ?? '', node, worker };
}

/** The nodes of all instances, in order. */
export function nodesOf({ instances }: Topology): string[] {
  return [...new Set(Object.values(instances).map(({ instance }) => instance.node))].sort(inNaturalOrder);
}
