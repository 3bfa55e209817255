/** The page's title: the state in a few words, legible in a tab. */
import { connection } from '../state/connection.ts';
import { figures } from '../state/store.ts';
import { short } from '../ui/format.ts';
import { view } from './views.ts';

/** Reads the state; meant for an effect, which follows it. */
export function pageTitle(): string {
  return `${state()} · ${view.value.title} · swarmq`;
}

function state(): string {
  if (connection.value.state === 'connecting') return 'Connecting…';
  if (connection.value.state === 'lost') return '⚠ Connection lost';
  const tiers = figures.value?.tiers ?? [];
  const requesters = tiers.find(({ tier }) => tier === 'requester');
  if (!requesters || requesters.instances === 0) return 'No requester';
  if (tiers.some(({ balanced }) => !balanced)) return '⚠ Ledger off';
  return requesters.ledger.inFlight > 0 ? `${short(requesters.ledger.inFlight)} in flight` : 'Idle';
}
