/** All that is known of one instance. */
import { useRef } from 'preact/hooks';
import { linkTo } from '../../domain/address.ts';
import { hasPool, nameOf } from '../../domain/topology.ts';
import { Mark } from '../../map/legend.tsx';
import { clock } from '../../state/clock.ts';
import { connection } from '../../state/connection.ts';
import { closeSheet } from '../../state/route.ts';
import { figures, useInstance } from '../../state/store.ts';
import { Facts } from '../../ui/facts.tsx';
import { count, dateTime, duration } from '../../ui/format.ts';
import { Sheet } from '../../ui/sheet.tsx';
import { useRowsWithin } from '../../ui/virtual.ts';
import type { InstanceView } from '../../wire.ts';
import { describeFaults } from '../control/describe-faults.ts';

/** About the height of a worker's row, in pixels. */
const ROW_PX = 29;

/** The sheet of an instance. */
export function InstanceSheet({ id }: { id: string }) {
  const view = useInstance(id).value;
  if (!view) {
    return (
      <Sheet title={id} onClose={closeSheet}>
        <p>
          {connection.value.state === 'connecting'
            ? 'Asking the server…'
            : 'No such instance is known: it has been gone for more than half a minute.'}
        </p>
      </Sheet>
    );
  }
  const { tier, node, version } = view.instance;
  return (
    <Sheet title={nameOf(view)} subtitle={`${tier} on ${node}, version ${version}`} onClose={closeSheet}>
      <InstanceFacts view={view} />
      {hasPool(tier) && view.state !== 'gone' && (
        <p>
          <a href={linkTo({ view: 'control', params: [id] })}>Change its workers or faults</a>
        </p>
      )}
      {view.workers.length > 0 && <Workers view={view} />}
      {view.peers.length > 0 && (
        <>
          <h3>Connections</h3>
          <ul class="peers">
            {view.peers.map((peer) => (
              <li key={peer.address}>
                <code>{peer.address}</code> {peer.connected ? 'connected' : 'not connected'}
              </li>
            ))}
          </ul>
        </>
      )}
    </Sheet>
  );
}

/** As the server judges it. */
const isUnbalanced = (view: InstanceView): boolean =>
  figures.value?.tiers.some(({ unbalanced }) => unbalanced.includes(nameOf(view))) ?? false;

function InstanceFacts({ view }: { view: InstanceView }) {
  const { ledger, instance } = view;
  const rows: [string, string][] = [
    ['State', view.reason ? `${view.state}: ${view.reason}` : view.state],
    ['Up', `${duration(Math.max(0, uptimeOf(view)))}, since ${dateTime(instance.startedAt)}`],
    ['Process', `${instance.pid}${instance.admin ? `, admin server ${instance.admin}` : ''}`],
    ['Id', instance.id],
    ['Restarts', count(view.restarts ?? 0)],
    ['Queued', count(view.queue)],
    [
      'Ledger',
      `${count(ledger.sent)} sent = ${count(ledger.responses)} responses + ${count(ledger.errors)} errors + ` +
        `${count(ledger.timeouts)} timeouts + ${count(ledger.inFlight)} in flight${isUnbalanced(view) ? ': does not balance' : ''}`,
    ],
    [
      'Besides',
      `${count(ledger.duplicates)} duplicates, ${count(ledger.late)} late, ${count(ledger.retries)} sent again`,
    ],
  ];
  if (view.faults || view.stalled) rows.push(['Faults', describeFaults(view)]);
  if (view.droppedEvents > 0) rows.push(['Left out', `${count(view.droppedEvents)} single-message events`]);
  return <Facts rows={rows} />;
}

/** How long it has been up: by its own clock, where it says so. */
const uptimeOf = ({ uptimeMs, instance }: InstanceView): number => uptimeMs ?? clock.now() - instance.startedAt;

function Workers({ view: { workers } }: { view: InstanceView }) {
  const scroller = useRef<HTMLDivElement>(null);
  const keyOf = (place: number): string => String(workers[place]?.index);
  const list = { count: workers.length, keyOf, estimate: ROW_PX };
  const { rows, before, after, measure } = useRowsWithin(list, scroller);
  return (
    <>
      <h3>Workers</h3>
      <div class="scroll worker-table" ref={scroller} tabIndex={0} role="region" aria-label="Workers">
        <table aria-rowcount={workers.length + 1}>
          <thead>
            <tr aria-rowindex={1}>
              <th scope="col">Worker</th>
              <th scope="col">State</th>
              <th scope="col" class="number">
                Done
              </th>
              <th scope="col" class="number">
                Restarts
              </th>
              <th scope="col">Id</th>
            </tr>
          </thead>
          <tbody>
            <Room height={before} />
            {rows.map(({ index, key }) => {
              const worker = workers[index];
              return (
                worker && (
                  <tr key={key} data-index={index} aria-rowindex={index + 2} ref={measure}>
                    <td class="number">{worker.index}</td>
                    <td>
                      <Mark state={worker.state} /> {worker.state}
                    </td>
                    <td class="number">{count(worker.handled)}</td>
                    <td class="number">{worker.restarts}</td>
                    <td>
                      <code>{worker.id}</code>
                    </td>
                  </tr>
                )
              );
            })}
            <Room height={after} />
          </tbody>
        </table>
      </div>
    </>
  );
}

/** The room of rows that are not made. */
function Room({ height }: { height: number }) {
  return height > 0 ? <tr class="room" aria-hidden="true" style={{ height: `${height}px` }} /> : null;
}
