/** All requests the page remembers, newest first. */
import { useComputed } from '@preact/signals';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { filterFrom, matches, nodesOf, OUTCOMES, type Filter } from '../../domain/filter.ts';
import { changeQuery, route } from '../../state/route.ts';
import { newest, requests, requestsLeftOut, topology } from '../../state/store.ts';
import { count, plural } from '../../ui/format.ts';
import { usePageRows } from '../../ui/virtual.ts';
import type { RequestView } from '../../wire.ts';
import { PhaseLegend } from './phase-legend.tsx';
import { RequestRow } from './request-row.tsx';

/** About the height of a row, in pixels. */
const ROW_PX = 110;

/** The route `#/requests`, with the filter in its query. */
export function RequestsView() {
  const filter = filterFrom(route.value.query);
  const [held, setHeld] = useState<readonly RequestView[]>();
  const known = newest.value;
  const listed = held?.map((last) => requests.value.get(last.requestId) ?? last) ?? known;
  const shown = listed.filter((request) => matches(request, filter));
  const first = held && known.findIndex((request) => request.requestId === held[0]?.requestId);
  // Where none of the held ones is kept any more, all are new.
  const waiting = first === -1 ? known.length : (first ?? 0);
  return (
    <section class="requests-view">
      <form class="filters" aria-label="Filter" onSubmit={(event) => event.preventDefault()}>
        <FilterFields filter={filter} />
        <button
          type="button"
          aria-pressed={held !== undefined}
          onClick={() => setHeld(held ? undefined : known)}
        >
          {held ? `Resume${waiting > 0 ? ` (${count(waiting)} new)` : ''}` : 'Hold the list'}
        </button>
        <output>
          {shown.length === listed.length
            ? plural(shown.length, 'request')
            : `${count(shown.length)} of ${plural(listed.length, 'request')}`}
        </output>
      </form>
      <h2 class="unseen">Newest first</h2>
      <PhaseLegend />
      <LeftOut />
      {known.length === 0 ? (
        <p class="empty">
          No request yet. <a href="#/">Send one</a>, and each of its messages appears here as a line.
        </p>
      ) : (
        shown.length === 0 && (
          <p class="empty">
            No request matches.{' '}
            <button type="button" class="link" onClick={() => changeQuery({ outcome: '', node: '', worker: '' })}>
              Show all
            </button>
          </p>
        )
      )}
      <RequestList shown={shown} />
    </section>
  );
}

function FilterFields({ filter }: { filter: Filter }) {
  const nodes = useComputed(() => nodesOf(topology.value).join('\n'));
  // A node that has left may still be asked for.
  const names = [...new Set([...nodes.value.split('\n'), filter.node])].filter(Boolean);
  return (
    <>
      <label>
        Outcome
        <select value={filter.outcome} onChange={(event) => changeQuery({ outcome: event.currentTarget.value })}>
          <option value="">any</option>
          {OUTCOMES.map((outcome) => (
            <option key={outcome} value={outcome}>
              {outcome}
            </option>
          ))}
        </select>
      </label>
      <label>
        Node
        <select value={filter.node} onChange={(event) => changeQuery({ node: event.currentTarget.value })}>
          <option value="">any</option>
          {names.map((node) => (
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
          onInput={(event) => changeQuery({ worker: event.currentTarget.value.trim() })}
        />
      </label>
    </>
  );
}

/** Says that not everything is listed, where that is so. */
function LeftOut() {
  const dropped = useComputed(() =>
    Object.values(topology.value.instances).reduce((sum, { droppedEvents }) => sum + droppedEvents, 0),
  ).value;
  return (
    <>
      {dropped > 0 && (
        <p class="hint">
          {plural(dropped, 'event')} of single messages could not be sent to the page (
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

function RequestList({ shown }: { shown: readonly RequestView[] }) {
  const list = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  // What is above the list comes and goes.
  useLayoutEffect(() => {
    if (list.current) setTop(Math.round(list.current.getBoundingClientRect().top + scrollY));
  });
  const keyOf = (index: number): string => shown[index]?.requestId ?? '';
  const { rows, before, after, measure } = usePageRows({ count: shown.length, keyOf, estimate: ROW_PX }, top);
  return (
    <div class="requests" ref={list} style={{ paddingTop: `${before}px`, paddingBottom: `${after}px` }}>
      {rows.map(({ index, key }) => (
        <div key={key} data-index={index} ref={measure}>
          <RequestRow id={key} last={shown[index]} />
        </div>
      ))}
    </div>
  );
}
