/** What one looks at while a swarm works: the picture, sending, the ledger, the latest. */
import { useComputed } from '@preact/signals';
import { Picture } from '../../map/picture.tsx';
import { clock } from '../../state/clock.ts';
import { openSheet } from '../../state/route.ts';
import { rates, requests, topology, watchEvents } from '../../state/store.ts';
import { LatencyChart, ThroughputChart } from '../metrics/charts.tsx';
import { LedgerStrip } from '../metrics/ledger.tsx';
import { RequestRow } from '../requests/request-row.tsx';
import { PhaseLegend } from '../requests/phase-legend.tsx';
import { Links } from './links.tsx';
import { Send } from './send.tsx';

/** Requests shown here; the Requests view has them all. */
const LATEST = 8;

const picture = {
  topology,
  rates,
  watchEvents,
  now: clock.now,
  onOpen: (id: string): void => openSheet({ instance: id }),
};

/** The route `#/`. */
export function LiveView() {
  return (
    <div class="live">
      <div class="live-picture">
        <LedgerStrip />
        <Picture {...picture} />
      </div>
      <div class="live-side">
        <Send />
        <Links />
        <ThroughputChart small />
        <LatencyChart small />
      </div>
      <LatestRequests />
    </div>
  );
}

function LatestRequests() {
  // By id: the list is made again when another request comes, its rows when theirs changes.
  const ids = useComputed(() => [...requests.value.keys()].slice(-LATEST).toReversed().join('\n'));
  const latest = ids.value === '' ? [] : ids.value.split('\n');
  return (
    <section class="live-latest" aria-label="Latest requests">
      <h2>
        Latest requests <a href="#/requests">All requests</a>
      </h2>
      {latest.length === 0 ? (
        <p class="empty">No request yet. Send one: its messages appear here while they are on their way.</p>
      ) : (
        <>
          <PhaseLegend />
          <div class="requests">
            {latest.map((id) => (
              <RequestRow key={id} id={id} />
            ))}
          </div>
        </>
      )}
    </section>
  );
}
