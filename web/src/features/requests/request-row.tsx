/** One request: what it was, how it stands, and a line for each of its messages. */
import { useMemo, useState } from 'preact/hooks';
import { PHASE_TITLES, waterfall, type Line } from '../../domain/waterfall.ts';
import { clock } from '../../state/clock.ts';
import { connection } from '../../state/connection.ts';
import { openSheet } from '../../state/route.ts';
import { settings, useRequest } from '../../state/store.ts';
import { brief, clock as clockTime, dateTime, duration, plural } from '../../ui/format.ts';
import type { RequestView } from '../../wire.ts';

/** Messages shown until all are asked for. */
const MAX_LINES = 6;

/** The row of a request, which is rendered when this request changes. `last`: shown when the request is not kept any more. */
export function RequestRow({ id, last }: { id: string; last?: RequestView }) {
  const request = useRequest(id).value ?? last;
  return request ? <Waterfall request={request} /> : null;
}

function Waterfall({ request }: { request: RequestView }) {
  // Its lines grow while it is pending, unless nothing more is heard of it.
  const isGrowing = request.status === 'pending' && connection.value.state !== 'lost';
  const now = isGrowing ? clock.tenths.value : clock.tenths.peek();
  const [all, setAll] = useState(false);
  const usual = settings.value?.expected?.fanOutHighMs ?? 0;
  return useMemo(() => {
    const { lines, span } = waterfall(request, now, usual);
    const shown = all ? lines : lines.slice(0, MAX_LINES);
    return (
      <article class={`request is-${request.status}`}>
        <h3>
          <code title={request.requestId}>{brief(request.requestId)}</code>
          <time title={dateTime(request.at)}>{clockTime(request.at)}</time>
          <span class="task">{request.task ?? settings.value?.task}</span>
          <Counts request={request} />
          <span class="span">{duration(request.totalUs === undefined ? Math.max(0, now - request.at) : request.totalUs / 1_000)}</span>
        </h3>
        {request.reason && <p class="reason">{request.reason}</p>}
        {lines.length === 0 && request.status === 'pending' && (
          <p class="reason is-calm">Waiting for a requester to take it on</p>
        )}
        <ol class="lines">
          {shown.map((line) => (
            <li key={line.messageId}>
              <MessageLine request={request} line={line} span={span} />
            </li>
          ))}
        </ol>
        {lines.length > MAX_LINES && (
          <button type="button" class="quiet more" aria-expanded={all} onClick={() => setAll(!all)}>
            {all ? 'Show fewer' : `Show ${plural(lines.length - MAX_LINES, 'more message')}`}
          </button>
        )}
      </article>
    );
  }, [request, isGrowing && now, usual, all]);
}

function Counts({ request: { counts, status, messages } }: { request: RequestView }) {
  const ended = counts.responses + counts.errors + counts.timeouts;
  return (
    <span class="counts">
      {status === 'pending' && (
        <span class="is-pending">
          {ended} of {messages.length || '?'}
        </span>
      )}
      {status === 'failed' && <span class="is-error">failed</span>}
      {counts.responses > 0 && status !== 'pending' && (
        <span class="is-response">{plural(counts.responses, 'response')}</span>
      )}
      {counts.errors > 0 && <span class="is-error">{plural(counts.errors, 'error')}</span>}
      {counts.timeouts > 0 && <span class="is-timeout">{plural(counts.timeouts, 'timeout')}</span>}
    </span>
  );
}

function MessageLine({ request, line, span }: { request: RequestView; line: Line; span: number }) {
  const { reply, outcome, phases } = line;
  const by = reply && reply.responderId !== -1 ? brief(String(reply.responderId)) : '–';
  const where = reply?.node ?? { pending: '', notReported: 'not reported' }[outcome as string] ?? outcome;
  const took = duration(line.end);
  return (
    <button type="button" class={`line is-${outcome}`} onClick={() => openSheet({ request: request.requestId, message: line.messageId })}>
      <span class="unseen">{outcome}</span>
      <span class="who">{brief(line.requesterId)}</span>
      <span class="track">
        {phases.map(({ name, from, to }) => (
          <i
            key={name}
            class={`phase is-${name}`}
            title={`${PHASE_TITLES[name]}: ${duration(to - from)}`}
            style={{ left: `${(from / span) * 100}%`, width: `${((to - from) / span) * 100}%` }}
          />
        ))}
      </span>
      <span class="by">{outcome === 'pending' ? '' : by}</span>
      <span class="where">{where}</span>
      <span class="took">{outcome === 'pending' || outcome === 'notReported' ? '' : took}</span>
    </button>
  );
}
