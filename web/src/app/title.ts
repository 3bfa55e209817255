/** The page's title: the state in a few words, legible in a tab. */
import { short } from '../ui/format.ts';
import { connection, topology } from '../state/store.ts';
import { isBalanced, ledgerOf, living } from '../domain/topology.ts';
import { view } from './views.ts';

/** Reads the state; meant for an effect, which follows it. */
export function pageTitle(): string {
  return `${state()} · ${view.value.title} · swarmq`;
}

function state(): string {
  if (connection.value.state === 'connecting') return 'Connecting…';
  if (connection.value.state === 'lost') return '⚠ Connection lost';
  if (living(topology.value, 'requester').length === 0) return 'No requester';
  const ledger = ledgerOf(topology.value, 'requester');
  if (!isBalanced(ledger)) return '⚠ Ledger off';
  return ledger.inFlight > 0 ? `${short(ledger.inFlight)} in flight` : 'Idle';
}
