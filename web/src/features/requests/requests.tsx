/** All requests the page remembers, newest first. */
import { signal } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';
import { ALL, matches, nodesOf, type Filter } from '../../domain/filter.ts';
import { count, plural } from '../../ui/format.ts';
import { newest, requestsLeftOut, topology } from '../../state/store.ts';
import { STRETCH_TITLES, STRETCHES } from '../../domain/waterfall.ts';
import type { RequestView } from '../../wire.ts';
import { RequestRow } from './request-row.tsx';

/** Rows that are added each time the end of the list comes into sight. */
const PAGE = 30;

/** It stays while other views are looked at. */
const chosen = signal<Filter>(ALL);

/** The route `#/requests`. */
export function RequestsView() {
  const filter = chosen.value;
  const setFilter = (next: Filter): void => {
    chosen.value = next;
  };
  const [held, setHeld] = useState<readonly RequestView[]>();
  const known = newest.value;
  // While held, the list stands still but its requests go on.
  const current = new Map(known.map((request) => [request.requestId, request]));
  const listed = held ? held.map((request) => current.get(request.requestId) ?? request) : known;
  const shown = listed.filter((request) => matches(request, filter));
  const change = (part: Partial<Filter>): void => setFilter({ ...filter, ...part });
  const waiting = held ? known.findIndex((request) => request.requestId === held[0]?.requestId) : 0;
  return (
    <section class="requests-view">
      <form class="filters" aria-label="Filter" onSubmit={(event) => event.preventDefault()}>
        <label>
          Outcome
          <select
            value={filter.outcome}
            onChange={(event) => change({ outcome: event.currentTarget.value as Filter['outcome'] })}
          >
            <option value="">any</option>
            <option value="pending">pending</option>
            <option value="response">response</option>
            <option value="error">error</option>
            <option value="timeout">timeout</option>
          </select>
        </label>
        <label>
          Node
          <select value={filter.node} onChange={(event) => change({ node: event.currentTarget.value })}>
            <option value="">any</option>
            {nodesOf(known).map((node) => (
              <option key={node}>{node}</option>
            ))}
          </select>
        </label>
        <label>
          Worker
          <input
            type="search"
            placeholder="requester or responder id"
            value={filter.worker}
            onInput={(event) => change({ worker: event.currentTarget.value.trim() })}
          />
        </label>
        <button type="button" aria-pressed={held !== undefined} onClick={() => setHeld(held ? undefined : known)}>
          {held ? `Resume${waiting > 0 ? ` (${count(waiting)} new)` : ''}` : 'Hold the list'}
        </button>
        <output>
          {shown.length === listed.length
            ? plural(shown.length, 'request')
            : `${count(shown.length)} of ${plural(listed.length, 'request')}`}
        </output>
      </form>
      <h2 class="unseen">Newest first</h2>
      <StretchLegend />
      <LeftOut />
      {known.length === 0 ? (
        <p class="empty">
          No request yet. <a href="#/">Send one</a>, and each of its messages appears here as a line.
        </p>
      ) : (
        shown.length === 0 && (
          <p class="empty">
            No request matches.{' '}
            <button type="button" class="link" onClick={() => setFilter(ALL)}>
              Show all
            </button>
          </p>
        )
      )}
      <RequestList requests={shown} />
    </section>
  );
}

/** Says that not everything is listed, where that is so. */
function LeftOut() {
  const dropped = Object.values(topology.value.instances).reduce((sum, { droppedEvents }) => sum + droppedEvents, 0);
  return (
    <>
      {dropped > 0 && (
        <p class="hint">
          {plural(dropped, 'event')} of single messages could not be told to the page (
          <code>telemetry.events_per_second</code>), so that some are missing here. Ledger and charts count every message.
        </p>
      )}
      {requestsLeftOut.value > 0 && (
        <p class="hint">
          {plural(requestsLeftOut.value, 'older request')} did not fit into what the page was sent at once, and{' '}
          {requestsLeftOut.value === 1 ? 'is' : 'are'} missing here.
        </p>
      )}
    </>
  );
}

/** What the colours in the lines mean. */
export function StretchLegend() {
  return (
    <p class="legend">
      {([...STRETCHES, 'whole'] as const).map((name) => (
        <span key={name}>
          <i class={`swatch is-${name}`} />
          {STRETCH_TITLES[name]}
        </span>
      ))}
    </p>
  );
}

function RequestList({ requests }: { requests: readonly RequestView[] }) {
  const [rows, setRows] = useState(PAGE);
  const end = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const observer = new IntersectionObserver(([entry]) => entry?.isIntersecting && setRows((before) => before + PAGE));
    if (end.current) observer.observe(end.current);
    return () => observer.disconnect();
  }, [rows]);
  return (
    <div class="requests">
      {requests.slice(0, rows).map((request) => (
        <RequestRow key={request.requestId} request={request} />
      ))}
      {rows < requests.length && <div ref={end} class="list-end" />}
    </div>
  );
}
