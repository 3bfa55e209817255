/** The last minutes as curves, and who did the work. */
import { InFlightChart, LatencyChart, QueueChart, ThroughputChart } from './charts.tsx';
import { ShareBars } from '../../charts/share-bars.tsx';
import { duration } from '../../ui/format.ts';
import { sharesByNode, sharesByWorker } from '../../domain/shares.ts';
import { figures, settings, topology } from '../../state/store.ts';
import { capacityOf, LedgerTable } from './ledger.tsx';

/** The route `#/charts`. */
export function ChartsView() {
  return (
    <div class="charts-view">
      <ExpectedLine />
      {figures.value && <p class="hint">{capacityOf(figures.value)}</p>}
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
    return <p class="hint">Without a delay before the tasks nothing is expected of their times.</p>;
  return (
    <p class="hint">
      With this delay and these workers, and one request at a time, half of the messages should be answered within{' '}
      {duration(expected.messageP50Ms)} and nearly all within {duration(expected.messageP99Ms)}; a request to every
      worker should take {duration(expected.fanOutLowMs)} to {duration(expected.fanOutHighMs)}.
    </p>
  );
}
