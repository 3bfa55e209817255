/** Which requests are shown. */
import { outcomeOf } from './requests.ts';
import type { RequestView } from '../wire.ts';

export interface Filter {
  outcome: '' | 'pending' | 'response' | 'error' | 'timeout';
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

/** The nodes that have replied, in order. */
export function nodesOf(requests: Iterable<RequestView>): string[] {
  const nodes = new Set<string>();
  for (const { replies } of requests) for (const { node } of replies) if (node) nodes.add(node);
  return [...nodes].sort(new Intl.Collator('en', { numeric: true }).compare);
}
