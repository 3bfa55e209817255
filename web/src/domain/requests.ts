/** The latest requests as a fold of events: the same as the server's (`src/wire/request_view.rs`). */
import type { Event, OutcomeCounts, Reply, RequestView } from '../wire.ts';

/** How one message ended. */
export type Outcome = 'response' | 'error' | 'timeout';

/** How many requests the page remembers. */
export const REQUESTS_KEPT = 1_000;

/** The latest requests by id, oldest first. */
export type Requests = ReadonlyMap<string, RequestView>;

/** The requests of a snapshot, which come newest first. */
export function requestsFrom(views: readonly RequestView[]): Requests {
  return new Map(views.toReversed().map((view) => [view.requestId, view]));
}

/** Takes events in; those of requests that are not known (any more) change nothing. */
export function foldRequests(requests: Requests, events: readonly Event[]): Requests {
  let next: Map<string, RequestView> | undefined;
  for (const event of events) {
    const id = event.type === 'reply' ? event.reply.requestId : 'requestId' in event ? event.requestId : undefined;
    if (id === undefined) continue;
    const known = (next ?? requests).get(id);
    const view = known ? step(known, event) : begin(event);
    if (!view || view === known) continue;
    next ??= new Map(requests);
    next.set(id, view);
    const oldest = next.keys().next();
    if (next.size > REQUESTS_KEPT && !oldest.done) next.delete(oldest.value);
  }
  return next ?? requests;
}

function begin(event: Event): RequestView | undefined {
  if (event.type !== 'request') return undefined;
  const { requestId, at, task, fanOut, timeoutMs, links } = event;
  const counts = { responses: 0, errors: 0, timeouts: 0 };
  return { requestId, at, task, fanOut, timeoutMs, links, status: 'pending', messages: [], replies: [], counts };
}

/** The first batch after a snapshot may tell again what the snapshot had: a message or a reply counts once. */
function step(view: RequestView, event: Event): RequestView {
  switch (event.type) {
    case 'accepted': {
      const { instance, messages } = event.accepted;
      const fresh = messages.filter(({ messageId }) => !isKnown(view, messageId));
      return { ...view, messages: [...view.messages, ...fresh.map((message) => ({ ...message, instance }))] };
    }
    case 'dispatched': {
      // Told by the requester, so that it often comes before the promise, which the web tier tells.
      const { messageId, requesterId, instance, at } = event;
      if (isKnown(view, messageId)) return withMessage(view, messageId, { dispatchedAt: at });
      return { ...view, messages: [...view.messages, { messageId, requesterId, instance, dispatchedAt: at }] };
    }
    case 'reply': {
      if (view.replies.some((known) => known.messageId === event.reply.messageId)) return view;
      const counts = counted(view.counts, outcomeOf(event.reply));
      return { ...view, replies: [...view.replies, event.reply], counts };
    }
    case 'lost':
      return { ...withMessage(view, event.messageId, { lost: event.reason }), counts: counted(view.counts, 'error') };
    case 'retry':
      return event.messageId === undefined ? { ...view, reason: event.reason } : view;
    case 'outcome': {
      const { status, counts, totalUs, reason = view.reason } = event;
      return { ...view, status, counts, totalUs, ...(reason !== undefined && { reason }) };
    }
    default:
      return view;
  }
}

const isKnown = (view: RequestView, id: string): boolean => view.messages.some(({ messageId }) => messageId === id);

function withMessage(view: RequestView, id: string, change: { lost?: string; dispatchedAt?: number }): RequestView {
  const messages = view.messages.map((message) => (message.messageId === id ? { ...message, ...change } : message));
  return { ...view, messages };
}

function counted(counts: OutcomeCounts, outcome: Outcome): OutcomeCounts {
  const key = `${outcome}s` as const;
  return { ...counts, [key]: counts[key] + 1 };
}

/** How the message that a reply answers ended. */
export function outcomeOf(reply: Reply): Outcome {
  if (reply.responseType === 'Response') return 'response';
  // The article's requester has no code for its timeouts, but says them as no responder.
  const timedOut = reply.code === 'timeout' || (reply.code === undefined && reply.responderId === -1);
  return timedOut ? 'timeout' : 'error';
}
