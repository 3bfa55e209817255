/** The heads of the tiers, and what to do where a tier has nobody. */
import { useComputed, type ReadonlySignal } from '@preact/signals';
import { hasPool, living } from '../domain/topology.ts';
import { count, plural } from '../ui/format.ts';
import type { Tier, Topology } from '../wire.ts';
import type { Layout, TierBox } from './layout.ts';
import { rateOf, type Rates } from './rates.ts';

const TITLES: Record<Tier, string> = {
  web: 'Web',
  requester: 'Requesters',
  broker: 'Brokers',
  responder: 'Responders',
};

interface Props {
  topology: ReadonlySignal<Topology>;
  rates: ReadonlySignal<Rates>;
}

/** A heading for each tier, with its figures. */
export function TierTitles({ layout, ...known }: Props & { layout: Layout }) {
  const shown = new Set([...layout.panels.values()].map(({ tier }) => tier));
  return (
    <>
      {layout.tiers.map((box) => (
        <TierTitle key={box.tier} box={box} isEmpty={!shown.has(box.tier)} {...known} />
      ))}
    </>
  );
}

function TierTitle({
  box: { tier, x, y, width },
  isEmpty,
  topology,
  rates,
}: Props & { box: TierBox; isEmpty: boolean }) {
  const members = useComputed(() => living(topology.value, tier).length);
  const figures = useComputed(() => figuresOf(topology.value, rates.value, tier));
  return (
    <div class="tier" style={{ left: `${x}px`, top: `${y}px`, width: `${width}px` }}>
      <h2>
        {TITLES[tier]} <span>{members}</span>
      </h2>
      <p>{figures}</p>
      {isEmpty && (
        <p class="nobody">
          No {tier} is connected: start one with <code>swarmq {tier}</code>.
        </p>
      )}
    </div>
  );
}

function figuresOf(topology: Topology, rates: Rates, tier: Tier): string {
  let [workers, busy, perS, queue] = [0, 0, 0, 0];
  for (const view of living(topology, tier)) {
    workers += view.workers.length;
    for (const { state } of view.workers) if (state === 'busy') busy += 1;
    perS += rates[view.instance.id] ?? 0;
    queue += view.queue;
  }
  const pool = hasPool(tier) && workers > 0 ? `${busy} of ${plural(workers, 'worker')} busy · ` : '';
  return `${pool}${rateOf(tier, perS)}${queue > 0 ? ` · ${count(queue)} queued` : ''}`;
}
