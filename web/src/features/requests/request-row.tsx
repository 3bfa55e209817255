/** One request: what it was, how it stands, and a line for each of its messages. */
import { useEffect, useMemo, useState } from 'preact/hooks';
import { brief, clock, duration, plural } from '../../ui/format.ts';
import { openMessage } from '../../state/selection.ts';
import { connection, serverNow, settings } from '../../state/store.ts';
import { STRETCH_TITLES, waterfall, type Line } from '../../domain/waterfall.ts';
import type { RequestView } from '../../wire.ts';

/** Messages shown until all are asked for. */
const FEW = 6;

/** A request with its waterfall. */
export function RequestRow({ request }: { request: RequestView }) {
  const now = useNow(request.status === 'pending' && connection.value.state === 'open');
  const [all, setAll] = useState(false);
  const usual = settings.value?.expected?.fanOutHighMs ?? 0;
  // A request that has ended is drawn once, however often the list around it changes.
  return useMemo(() => {
    const { lines, span } = waterfall(request, now, usual);
    const shown = all ? lines : lines.slice(0, FEW);
    return (
      <article class={`request is-${request.status}`}>
        <h3>
          <code title={request.requestId}>{brief(request.requestId)}</code>
          <time>{clock(request.at)}</time>
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
        {lines.length > FEW && (
          <button type="button" class="quiet more" aria-expanded={all} onClick={() => setAll(!all)}>
            {all ? 'Show fewer' : `Show ${plural(lines.length - FEW, 'more message')}`}
          </button>
        )}
      </article>
    );
  }, [request, now, usual, all]);
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
  const { reply, outcome, stretches } = line;
  const by = reply && reply.responderId !== -1 ? brief(String(reply.responderId)) : '–';
  const where = reply?.node ?? { pending: '', untold: 'left out' }[outcome as string] ?? outcome;
  const took = duration(line.end);
  return (
    <button type="button" class={`line is-${outcome}`} onClick={() => openMessage(request.requestId, line.messageId)}>
      <span class="unseen">{outcome}</span>
      <span class="who">{brief(line.requesterId)}</span>
      <span class="track">
        {stretches.map(({ name, from, to }) => (
          <i
            key={name}
            class={`stretch is-${name}`}
            title={`${STRETCH_TITLES[name]}: ${duration(to - from)}`}
            style={{ left: `${(from / span) * 100}%`, width: `${((to - from) / span) * 100}%` }}
          />
        ))}
      </span>
      <span class="by">{outcome === 'pending' ? '' : by}</span>
      <span class="where">{where}</span>
      <span class="took">{outcome === 'pending' || outcome === 'untold' ? '' : took}</span>
    </button>
  );
}

/** The time, kept up while `running`. */
function useNow(running: boolean): number {
  const [now, setNow] = useState(serverNow);
  useEffect(() => {
    if (!running) return undefined;
    const timer = setInterval(() => setNow(serverNow()), 100);
    return () => clearInterval(timer);
  }, [running]);
  return now;
}
