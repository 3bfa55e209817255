/** Where the time of each message of a request went, as stretches on one scale. */
import { outcomeOf, type Outcome } from './requests.ts';
import type { MessageView, Reply, RequestView } from '../wire.ts';

/** The parts of a message's way, in their order. */
export const STRETCHES = ['queued', 'wire', 'broker', 'service', 'back'] as const;
export type StretchName = (typeof STRETCHES)[number];

/** What each part is called. */
export const STRETCH_TITLES: Record<StretchName | 'whole', string> = {
  queued: 'queued',
  wire: 'on the wire',
  broker: 'at the broker',
  service: 'in service',
  back: 'back',
  whole: 'under way',
};

/** One part, in milliseconds from the request's start. */
export interface Stretch {
  name: StretchName | 'whole';
  from: number;
  to: number;
}

/** One message's line. */
export interface Line {
  messageId: string;
  requesterId: string;
  /** `untold`: the request has ended, and what became of this message was left out under heavy load. */
  outcome: Outcome | 'pending' | 'lost' | 'untold';
  reply?: Reply;
  stretches: Stretch[];
  /** When it ended, in milliseconds from the request's start; for a pending one, now. */
  end: number;
}

/**
 * The lines of a request's messages, and how much time the scale spans. One that is pending gets a scale of at least
 * `usual` milliseconds, on which its lines can be seen to grow.
 */
export function waterfall(request: RequestView, now: number, usual = 0): { lines: Line[]; span: number } {
  const replies = new Map(request.replies.map((reply) => [reply.messageId, reply]));
  const promised = new Set(request.messages.map((message) => message.messageId));
  // A reply may be known before its promise is, where events were left out.
  const unpromised = request.replies.filter((reply) => !promised.has(reply.messageId));
  const lines = [
    ...request.messages.map((message) => lineOf(request, message, replies.get(message.messageId), now)),
    ...unpromised.map((reply) => lineOf(request, { ...reply, instance: '' }, reply, now)),
  ];
  const total = request.totalUs === undefined ? usual : request.totalUs / 1_000;
  return { lines, span: Math.max(1, total, ...lines.map((line) => line.end)) };
}

function lineOf(request: RequestView, message: MessageView, reply: Reply | undefined, now: number): Line {
  const line = { messageId: message.messageId, requesterId: message.requesterId };
  if (reply) {
    const stretches = stretchesOf(reply, request.at);
    return { ...line, outcome: outcomeOf(reply), reply, stretches, end: stretches.at(-1)?.to ?? 0 };
  }
  const elapsed = request.totalUs === undefined ? Math.max(0, now - request.at) : request.totalUs / 1_000;
  const sent = message.dispatchedAt === undefined ? elapsed : clamp(message.dispatchedAt - request.at, 0, elapsed);
  const stretches: Stretch[] = [
    { name: 'queued', from: 0, to: sent },
    { name: 'whole', from: sent, to: elapsed },
  ];
  const outcome = message.lost !== undefined ? 'lost' : request.status === 'pending' ? 'pending' : 'untold';
  return { ...line, outcome, stretches: stretches.filter(({ from, to }) => to > from), end: elapsed };
}

function stretchesOf(reply: Reply, start: number): Stretch[] {
  const { queuedUs = 0, wireUs = 0, brokerUs = 0, serviceUs = 0, totalUs } = reply.timings ?? {};
  if (totalUs === undefined) {
    const from = Math.max(0, reply.requestedAt - start);
    return [{ name: 'whole', from, to: Math.max(from, reply.respondedAt - start) }];
  }
  // The wire is measured both ways together; what is left of the total is on the way back as well.
  const lengths: Record<StretchName, number> = {
    queued: queuedUs,
    wire: wireUs / 2,
    broker: brokerUs,
    service: serviceUs,
    back: Math.max(wireUs / 2, totalUs - queuedUs - wireUs / 2 - brokerUs - serviceUs),
  };
  let from = 0;
  return STRETCHES.map((name) => {
    const stretch = { name, from, to: from + lengths[name] / 1_000 };
    from = stretch.to;
    return stretch;
  }).filter((stretch) => stretch.to > stretch.from);
}

const clamp = (value: number, low: number, high: number): number => Math.max(low, Math.min(high, value));
