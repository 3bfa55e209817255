/** The page's title: the state in a few words, legible in a tab. */
import { ledgerOf, living, unbalanced } from '../domain/topology.ts';
import { connection } from '../state/connection.ts';
import { topology } from '../state/store.ts';
import { short } from '../ui/format.ts';
import { view } from './views.ts';

/** Reads the state; meant for an effect, which follows it. */
export function pageTitle(): string {
  return `${state()} · ${view.value.title} · swarmq`;
}

function state(): string {
  if (connection.value.state === 'connecting') return 'Connecting…';
  if (connection.value.state === 'lost') return '⚠ Connection lost';
  if (living(topology.value, 'requester').length === 0) return 'No requester';
  if (unbalanced(topology.value).length > 0) return '⚠ Ledger off';
  const { inFlight } = ledgerOf(topology.value, 'requester');
  return inFlight > 0 ? `${short(inFlight)} in flight` : 'Idle';
}
