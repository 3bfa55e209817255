/** All that is known of one message and its reply. */
import { outcomeOf } from '../../domain/requests.ts';
import { PHASE_TITLES, tookMs } from '../../domain/waterfall.ts';
import { loaded, loadRequest } from '../../state/loaded.ts';
import { closeSheet } from '../../state/route.ts';
import { useRequest } from '../../state/store.ts';
import { useAction } from '../../ui/action.tsx';
import { Copy } from '../../ui/copy.tsx';
import { Fact, Facts } from '../../ui/facts.tsx';
import { clock, count, dateTime, duration } from '../../ui/format.ts';
import { Sheet } from '../../ui/sheet.tsx';
import type { Reply, Timings } from '../../wire.ts';

const TIMES: [keyof Timings, string][] = [
  ['queuedUs', PHASE_TITLES.queued],
  ['wireUs', 'on the wire, both ways'],
  ['brokerUs', PHASE_TITLES.broker],
  ['serviceUs', PHASE_TITLES.service],
  ['totalUs', 'in all'],
];

/** The sheet of a message; it fills as the reply arrives. */
export function ReplySheet({ requestId, messageId }: { requestId: string; messageId: string }) {
  const request = useRequest(requestId).value;
  const whole = loaded.value.get(requestId);
  const isThis = (known: { messageId: string }): boolean => known.messageId === messageId;
  const message = request?.messages.find(isThis) ?? whole?.messages.find(isThis);
  // What was loaded has its body whole.
  const reply = whole?.replies.find(isThis) ?? request?.replies.find(isThis);
  const unanswered = !(request ?? whole) ? 'unknown' : (request ?? whole)?.status === 'pending' ? 'pending' : 'notReported';
  const state = reply ? outcomeOf(reply) : message?.lost !== undefined ? 'lost' : unanswered;
  const heading = {
    response: 'Response',
    error: 'Error',
    timeout: 'Timeout',
    lost: 'Lost message',
    pending: 'Waiting for the reply',
    notReported: 'Reply not reported',
    unknown: 'Message',
  };
  return (
    <Sheet title={heading[state]} subtitle={reply && took(reply)} onClose={closeSheet}>
      <Facts>
        <Id name="Request id" value={requestId} />
        <Id name="Message id" value={messageId} />
        {message && <Id name="Requester id" value={message.requesterId} />}
        {message && <Fact name="Requester">{message.instance}</Fact>}
        {message?.lost !== undefined && <Fact name="Lost">{message.lost}</Fact>}
        {reply && <ReplyFacts reply={reply} promised={message !== undefined} />}
      </Facts>
      {state === 'unknown' && (
        <p>
          The page has no such request: it may be older than what it was sent.{' '}
          <LoadWhole requestId={requestId} what="Load it" />
        </p>
      )}
      {state === 'notReported' && (
        <p>
          Too much happened at once for the server to send it all. <LoadWhole requestId={requestId} what="Load the reply" />
        </p>
      )}
      {reply && <Content reply={reply} />}
    </Sheet>
  );
}

function took(reply: Reply): string | undefined {
  const ms = tookMs(reply);
  return ms === undefined ? undefined : `after ${duration(ms)}`;
}

/** What was answered. Of a long body the page has the beginning until the whole is asked for. */
function Content({ reply }: { reply: Reply }) {
  return (
    <>
      <h3>
        Content <Copy text={reply.body} label="the content" />
      </h3>
      {reply.bodyBytes !== undefined && (
        <p>
          The first {count(reply.body.length)} characters of {count(reply.bodyBytes)} bytes.{' '}
          <LoadWhole requestId={reply.requestId} what="Load the whole" />
        </p>
      )}
      <pre class="content" tabIndex={0}>
        {reply.body || '(empty)'}
      </pre>
      <p>
        <Copy text={JSON.stringify(reply, null, 2)} label="the whole reply as JSON" /> the whole reply as JSON
      </p>
    </>
  );
}

/** Asks the API for what no frame had. */
function LoadWhole({ requestId, what }: { requestId: string; what: string }) {
  const action = useAction();
  const load = (): Promise<void> => action.run(async () => (await loadRequest(requestId), ''));
  return (
    <>
      <button type="button" class="link" disabled={action.busy} onClick={load}>
        {what}
      </button>{' '}
      <span class="is-problem" role="status">
        {action.problem}
      </span>
    </>
  );
}

function ReplyFacts({ reply, promised }: { reply: Reply; promised: boolean }) {
  const ms = tookMs(reply);
  return (
    <>
      {!promised && <Id name="Requester id" value={reply.requesterId} />}
      {reply.responderId === -1 ? (
        <Fact name="Responder id">none answered</Fact>
      ) : (
        <Id name="Responder id" value={String(reply.responderId)} />
      )}
      {reply.node && <Fact name="Node">{reply.node}</Fact>}
      {reply.service && <Fact name="Service">{reply.slot ? `${reply.service}.${reply.slot}` : reply.service}</Fact>}
      {reply.task && <Fact name="Task">{reply.task}</Fact>}
      {reply.filename && <Fact name="File">{reply.filename}</Fact>}
      {reply.code && <Fact name="Code">{reply.code}</Fact>}
      {reply.detail && <Fact name="Detail">{reply.detail}</Fact>}
      {reply.attempt !== undefined && reply.attempt > 1 && <Fact name="Attempt">{reply.attempt}</Fact>}
      <Fact name="Sent">
        <time title={`${dateTime(reply.requestedAt)}, by the requester's clock`}>{clock(reply.requestedAt)}</time>
      </Fact>
      <Fact name="Answered">
        <time title={`${dateTime(reply.respondedAt)}, by the responder's clock`}>{clock(reply.respondedAt)}</time>
      </Fact>
      <Fact name="Delay">{ms === undefined ? 'not known: the two clocks differ' : duration(ms)}</Fact>
      {TIMES.map(([key, title]) => {
        const us = reply.timings?.[key];
        return us === undefined ? null : (
          <Fact key={key} name={title}>
            {duration(us / 1_000)}
          </Fact>
        );
      })}
    </>
  );
}

function Id({ name, value }: { name: string; value: string }) {
  return (
    <Fact name={name}>
      <code>{value}</code> <Copy text={value} label={`the ${name.toLowerCase()}`} />
    </Fact>
  );
}
