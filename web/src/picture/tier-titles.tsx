/** The heads of the tiers, and what to do where a tier has nobody. */
import { count, plural } from '../format.ts';
import { rateOf, type Rates } from '../rates.ts';
import { hasPool, living } from '../topology.ts';
import type { Tier, Topology } from '../wire.ts';
import type { Layout } from './layout.ts';

const TITLES: Record<Tier, string> = {
  web: 'Web',
  requester: 'Requesters',
  broker: 'Brokers',
  responder: 'Responders',
};

/** A heading for each tier, with its figures. */
export function TierTitles({ layout, topology, rates }: { layout: Layout; topology: Topology; rates: Rates }) {
  return (
    <>
      {layout.tiers.map(({ tier, x, y, width }) => {
        const members = living(topology, tier);
        const workers = members.flatMap((view) => view.workers);
        const busy = workers.filter(({ state }) => state === 'busy').length;
        const perS = members.reduce((sum, view) => sum + (rates[view.instance.id] ?? 0), 0);
        const queue = members.reduce((sum, view) => sum + view.queue, 0);
        const shown = [...layout.panels.values()].some((panel) => panel.tier === tier);
        return (
          <div key={tier} class="tier" style={{ left: `${x}px`, top: `${y}px`, width: `${width}px` }}>
            <h2>
              {TITLES[tier]} <span>{members.length}</span>
            </h2>
            <p>
              {hasPool(tier) && workers.length > 0 && `${busy} of ${plural(workers.length, 'worker')} busy · `}
              {rateOf(tier, perS)}
              {queue > 0 && ` · ${count(queue)} queued`}
            </p>
            {!shown && (
              <p class="nobody">
                No {tier} is connected: start one with <code>swarmq {tier}</code>.
              </p>
            )}
          </div>
        );
      })}
    </>
  );
}
