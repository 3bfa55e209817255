/** The last minutes as curves, and who did the work. */
import { InFlightChart, LatencyChart, QueueChart, ThroughputChart } from '../charts/charts.tsx';
import { ShareBars } from '../charts/share-bars.tsx';
import { duration, rate } from '../format.ts';
import { sharesByNode, sharesByWorker } from '../shares.ts';
import { settings, topology } from '../store.ts';
import { LedgerTable } from './ledger.tsx';

/** The route `#/charts`. */
export function ChartsView() {
  return (
    <div class="charts-view">
      <ExpectedLine />
      <div class="charts-grid">
        <ThroughputChart />
        <LatencyChart />
        <InFlightChart />
        <QueueChart />
      </div>
      <div class="charts-grid">
        <ShareBars title="Work per node" shares={sharesByNode(topology.value)} />
        <ShareBars title="Work per responder" shares={sharesByWorker(topology.value)} />
      </div>
      <section aria-label="Ledger">
        <h2>Ledger by tier</h2>
        <LedgerTable />
      </section>
    </div>
  );
}

function ExpectedLine() {
  const expected = settings.value?.expected;
  if (!expected || expected.serviceMeanMs === 0)
    return <p class="hint">For the configured delay and worker counts no expectation is known.</p>;
  return (
    <p class="hint">
      With the configured delay and worker counts, a message should be in service for {duration(expected.serviceMeanMs)}
      , a whole fan-out should take {duration(expected.fanOutMeanMs)} ({duration(expected.fanOutLowMs)} to{' '}
      {duration(expected.fanOutHighMs)}), and the workers can do {rate(expected.capacityPerS)} messages a second.
    </p>
  );
}
