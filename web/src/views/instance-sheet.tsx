/** All that is known of one instance. */
import { inWords } from '../control/faults.tsx';
import { Facts } from '../facts.tsx';
import { clock, count, duration } from '../format.ts';
import { Mark } from '../picture/legend.tsx';
import { selection } from '../selection.ts';
import { figures, serverNow, topology } from '../store.ts';
import { hasPool, nameOf } from '../topology.ts';
import type { InstanceView } from '../wire.ts';
import { Sheet } from './sheet.tsx';

/** The sheet of an instance. */
export function InstanceSheet({ id }: { id: string }) {
  const view = topology.value.instances[id];
  if (!view) {
    return (
      <Sheet title={id}>
        <p>It has been gone for a while, and is forgotten.</p>
      </Sheet>
    );
  }
  const { tier, node, version } = view.instance;
  return (
    <Sheet title={nameOf(view)} subtitle={`${tier} on ${node}, version ${version}`}>
      <InstanceFacts view={view} />
      {hasPool(tier) && view.state !== 'gone' && (
        <p>
          <a href={`#/control/${encodeURIComponent(id)}`} onClick={() => (selection.value = undefined)}>
            Change its workers or faults
          </a>
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
    ['Up', `${duration(Math.max(0, serverNow() - instance.startedAt))}, since ${clock(instance.startedAt)}`],
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
  if (view.faults || view.stalled) rows.push(['Faults', inWords(view)]);
  if (view.droppedEvents > 0) rows.push(['Left out', `${count(view.droppedEvents)} single-message events`]);
  return <Facts rows={rows} />;
}

function Workers({ view }: { view: InstanceView }) {
  return (
    <>
      <h3>Workers</h3>
      <div class="scroll" tabIndex={0} role="region" aria-label="Workers">
        <table>
          <thead>
            <tr>
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
            {view.workers.map((worker) => (
              <tr key={worker.index}>
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
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
