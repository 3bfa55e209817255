/** The latest requests as a fold of events, with the same result as the server's (`src/wire/request_fold.rs`). */
import type { Event, Reply, RequestView } from '../wire.ts';

/** How one message ended. */
export type Outcome = 'response' | 'error' | 'timeout';

/** How many requests are kept where the server does not say how many it keeps. */
export const REQUESTS_KEPT = 1_000;

/** The latest requests by id, oldest first. */
export type Requests = ReadonlyMap<string, RequestView>;

/** The requests of a snapshot, which come newest first. */
export function requestsFrom(views: readonly RequestView[]): Requests {
  return new Map(views.toReversed().map((view) => [view.requestId, view]));
}

/** Takes events in; those of requests that are not known (any more) change nothing. */
export function foldRequests(requests: Requests, events: readonly Event[], kept = REQUESTS_KEPT): Requests {
  let next: Map<string, RequestView> | undefined;
  /** The requests that these events change, each copied once. */
  const drafts = new Map<string, Draft>();
  for (const event of events) {
    const id = event.type === 'reply' ? event.reply.requestId : 'requestId' in event ? event.requestId : undefined;
    if (id === undefined) continue;
    const known = (next ?? requests).get(id);
    if (event.type === 'request' ? known : !known) continue;
    next ??= new Map(requests);
    let draft = drafts.get(id);
    if (!draft) drafts.set(id, (draft = new Draft(known ? { ...known } : begin(event as RequestEvent))));
    draft.apply(event);
    if (next.get(id) !== draft.view) next.set(id, draft.view);
  }
  for (const oldest of next?.keys() ?? []) {
    if ((next?.size ?? 0) <= kept) break;
    next?.delete(oldest);
  }
  return next ?? requests;
}

type RequestEvent = Extract<Event, { type: 'request' }>;

function begin({ requestId, at, task, fanOut, timeoutMs, links }: RequestEvent): RequestView {
  const counts = { responses: 0, errors: 0, timeouts: 0 };
  return { requestId, at, task, fanOut, timeoutMs, links, status: 'pending', messages: [], replies: [], counts };
}

/** A request while a batch is folded in: a copy that is changed in place, with an index of its messages once needed. */
class Draft {
  readonly view: RequestView;
  #places: Map<string, number> | undefined;
  #ownsReplies = false;

  constructor(view: RequestView) {
    this.view = view;
  }

  apply(event: Event): void {
    switch (event.type) {
      case 'accepted': {
        const { instance, messages } = event.accepted;
        for (const { messageId, requesterId } of messages) this.#message(messageId, requesterId, instance);
        break;
      }
      case 'dispatched': {
        // Sent by the requester, so that it often comes before the web tier's `accepted`.
        const { messageId, requesterId, instance, at } = event;
        const place = this.#message(messageId, requesterId, instance);
        this.#change(place, { dispatchedAt: at });
        break;
      }
      case 'reply':
        this.#count(outcomeOf(event.reply));
        if (!this.#ownsReplies) this.view.replies = [...this.view.replies];
        this.#ownsReplies = true;
        this.view.replies.push(event.reply);
        break;
      case 'lost': {
        this.#count('error');
        const place = this.#index().get(event.messageId);
        if (place !== undefined) this.#change(place, { lost: event.reason });
        break;
      }
      case 'retry':
        if (event.messageId === undefined) this.view.reason = event.reason;
        break;
      case 'outcome': {
        const { status, counts, totalUs, reason } = event;
        Object.assign(this.view, { status, counts, totalUs }, reason !== undefined && { reason });
        break;
      }
    }
  }

  /** Copies the list of messages, and gives the places by message id. */
  #index(): Map<string, number> {
    if (!this.#places) {
      this.view.messages = [...this.view.messages];
      this.#places = new Map(this.view.messages.map(({ messageId }, place) => [messageId, place]));
    }
    return this.#places;
  }

  /** The place of a message, which is added if it is new. */
  #message(messageId: string, requesterId: string, instance: string): number {
    const places = this.#index();
    const known = places.get(messageId);
    if (known !== undefined) return known;
    places.set(messageId, this.view.messages.length);
    return this.view.messages.push({ messageId, requesterId, instance }) - 1;
  }

  #change(place: number, change: { lost?: string; dispatchedAt?: number }): void {
    const message = this.view.messages[place];
    if (message) this.view.messages[place] = { ...message, ...change };
  }

  #count(outcome: Outcome): void {
    const key = `${outcome}s` as const;
    this.view.counts = { ...this.view.counts, [key]: this.view.counts[key] + 1 };
  }
}

/** How the message that a reply answers ended. */
export function outcomeOf(reply: Reply): Outcome {
  if (reply.responseType === 'Response') return 'response';
  // The article's requester has no code for its timeouts, but says them as no responder.
  const timedOut = reply.code === 'timeout' || (reply.code === undefined && reply.responderId === -1);
  return timedOut ? 'timeout' : 'error';
}
