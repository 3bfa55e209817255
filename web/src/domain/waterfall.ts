/** Where the time of each message of a request went, as phases on one scale. */
import { outcomeOf, type Outcome } from './requests.ts';
import type { MessageView, Reply, RequestView } from '../wire.ts';

/** The parts of a message's way, in their order. */
export const PHASES = ['queued', 'wire', 'broker', 'service', 'back'] as const;
export type PhaseName = (typeof PHASES)[number];

/** What each part is called. */
export const PHASE_TITLES: Record<PhaseName | 'whole', string> = {
  queued: 'queued',
  wire: 'on the wire',
  broker: 'at the broker',
  service: 'in service',
  back: 'back',
  whole: 'under way',
};

/** One part, in milliseconds from the request's start. */
export interface Phase {
  name: PhaseName | 'whole';
  from: number;
  to: number;
}

/** One message's line. */
export interface Line {
  messageId: string;
  requesterId: string;
  /** `notReported`: the request has ended, and no event said how this message did, as there were too many. */
  outcome: Outcome | 'pending' | 'lost' | 'notReported';
  reply?: Reply;
  phases: Phase[];
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
    const phases = phasesOf(reply, request.at);
    return { ...line, outcome: outcomeOf(reply), reply, phases, end: phases.at(-1)?.to ?? 0 };
  }
  const elapsed = request.totalUs === undefined ? Math.max(0, now - request.at) : request.totalUs / 1_000;
  // Said by the requester's clock, while the request began by the web tier's: where they differ, it is not known.
  const after = message.dispatchedAt === undefined ? elapsed : message.dispatchedAt - request.at;
  const sent = after < 0 || after > elapsed ? 0 : after;
  const phases: Phase[] = [
    { name: 'queued', from: 0, to: sent },
    { name: 'whole', from: sent, to: elapsed },
  ];
  const outcome = message.lost !== undefined ? 'lost' : request.status === 'pending' ? 'pending' : 'notReported';
  return { ...line, outcome, phases: phases.filter(({ from, to }) => to > from), end: elapsed };
}

function phasesOf(reply: Reply, start: number): Phase[] {
  const { queuedUs = 0, wireUs = 0, brokerUs = 0, serviceUs = 0, totalUs } = reply.timings ?? {};
  if (totalUs === undefined) {
    const from = Math.max(0, reply.requestedAt - start);
    return [{ name: 'whole', from, to: from + (tookMs(reply) ?? 0) }];
  }
  // The wire is measured both ways together; what is left of the total is on the way back as well.
  const lengths: Record<PhaseName, number> = {
    queued: queuedUs,
    wire: wireUs / 2,
    broker: brokerUs,
    service: serviceUs,
    back: Math.max(wireUs / 2, totalUs - queuedUs - wireUs / 2 - brokerUs - serviceUs),
  };
  let from = 0;
  return PHASES.map((name) => {
    const phase = { name, from, to: from + lengths[name] / 1_000 };
    from = phase.to;
    return phase;
  }).filter((phase) => phase.to > phase.from);
}

/**
 * Milliseconds from the requester's message to the reply: by the requester's clock where that was measured. From programs
 * that measure nothing, such as the article's, the difference of two machines' clocks, unless that is less than nothing.
 */
export function tookMs({ timings, requestedAt, respondedAt }: Reply): number | undefined {
  if (timings?.totalUs !== undefined) return timings.totalUs / 1_000;
  return respondedAt >= requestedAt ? respondedAt - requestedAt : undefined;
}
