/** What one looks at while a swarm works: the picture, sending, the ledger, the latest. */
import { LatencyChart, ThroughputChart } from '../metrics/charts.tsx';
import { Picture } from '../../map/picture.tsx';
import { newest } from '../../state/store.ts';
import { Links } from './links.tsx';
import { LedgerStrip } from '../metrics/ledger.tsx';
import { RequestRow } from '../requests/request-row.tsx';
import { StretchLegend } from '../requests/requests.tsx';
import { Send } from './send.tsx';

/** Requests shown here; the Requests view has them all. */
const LATEST = 8;

/** The route `#/`. */
export function LiveView() {
  const latest = newest.value.slice(0, LATEST);
  return (
    <div class="live">
      <div class="live-picture">
        <LedgerStrip />
        <Picture />
      </div>
      <div class="live-side">
        <Send />
        <Links />
        <ThroughputChart small />
        <LatencyChart small />
      </div>
      <section class="live-latest" aria-label="Latest requests">
        <h2>
          Latest requests <a href="#/requests">All requests</a>
        </h2>
        {latest.length === 0 ? (
          <p class="empty">No request yet. Send one: its messages appear here while they are on their way.</p>
        ) : (
          <>
            <StretchLegend />
            <div class="requests">
              {latest.map((request) => (
                <RequestRow key={request.requestId} request={request} />
              ))}
            </div>
          </>
        )}
      </section>
    </div>
  );
}
