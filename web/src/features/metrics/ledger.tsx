/** The ledger: an equation that holds at any moment, by the totals of the server. */
import { figures } from '../../state/store.ts';
import { count, dateTime, plural, rate, time } from '../../ui/format.ts';
import type { Figures, Ledger, TierFigures } from '../../wire.ts';

const TERMS: { key: keyof Ledger | 'lost'; title: string; sign: string }[] = [
  { key: 'sent', title: 'sent', sign: '' },
  { key: 'responses', title: 'responses', sign: '=' },
  { key: 'errors', title: 'errors', sign: '+' },
  { key: 'timeouts', title: 'timeouts', sign: '+' },
  { key: 'inFlight', title: 'in flight', sign: '+' },
  { key: 'lost', title: 'lost', sign: '+' },
];

const EXTRA_COUNTS: { key: keyof Ledger; title: string }[] = [
  { key: 'duplicates', title: 'duplicates' },
  { key: 'late', title: 'late' },
  { key: 'retries', title: 'sent again' },
];

/** A term, which is in the colour of its outcome where there is any. */
const classOf = (key: string, value: number): string => (value > 0 ? `is-${key} is-some` : `is-${key}`);

const valueOf = (tier: TierFigures, key: keyof Ledger | 'lost'): number =>
  key === 'lost' ? tier.lost : tier.ledger[key];

/** The messages of the requester tier as one line of figures, and what the deployment can do. */
export function LedgerStrip() {
  const known = figures.value;
  const requesters = known?.tiers.find(({ tier }) => tier === 'requester');
  if (!known || !requesters) return null;
  const off = known.tiers.flatMap(({ unbalanced }) => unbalanced);
  const { errors, timeouts, sent } = requesters.ledger;
  const failed = errors + timeouts + requesters.lost;
  // A tier from which nothing is lost needs no term for it.
  const terms = TERMS.filter(({ key }) => key !== 'lost' || requesters.lost > 0);
  return (
    <section class={off.length === 0 ? 'ledger' : 'ledger is-off'} aria-label="Ledger">
      <dl>
        {terms.map(({ key, title, sign }) => (
          <div key={key} class={classOf(key, valueOf(requesters, key))}>
            {sign && <span aria-hidden="true">{sign}</span>}
            <dt>{title}</dt>
            <dd>{count(valueOf(requesters, key))}</dd>
          </div>
        ))}
        {EXTRA_COUNTS.map(({ key, title }) => (
          <div key={key} class="is-besides">
            <dt>{title}</dt>
            <dd>{count(requesters.ledger[key])}</dd>
          </div>
        ))}
      </dl>
      <p role="status" class={failed > 0 ? 'is-mixed' : undefined}>
        {off.length > 0 ? `✗ does not balance: ${off.join(', ')}` : '✓ balanced'}
        {failed > 0 && `, ${count(failed)} of ${count(sent)} failed`}, since{' '}
        <time title={dateTime(known.since)}>{time(known.since)}</time>
      </p>
      {requesters.lost > 0 && <p class="ledger-more is-lost">Lost with {lostWith(requesters)}.</p>}
      <p class="ledger-more">{capacityOf(known)}</p>
    </section>
  );
}

/** With which instances something was lost: "requester.1: 6 at 17:50:51". */
function lostWith({ lost, lostWith: latest }: TierFigures): string {
  const others = lost - latest.reduce((sum, one) => sum + one.lost, 0);
  const named = latest.map((one) => `${one.name}: ${count(one.lost)} at ${time(one.at)}`);
  return [...named, ...(others > 0 ? [`earlier ones: ${count(others)}`] : [])].join('; ');
}

/** What is asked, done and possible: "offered 48, served 40, possible 40 messages/s: requesters limit this: ...". */
export function capacityOf({ offeredPerS, servedPerS, capacityPerS, bottleneck, messagesPerRequest }: Figures): string {
  const possible = capacityPerS === null ? '' : `, possible ${rate(capacityPerS)}`;
  const why = bottleneck === null ? '' : `: ${bottleneck.text}`;
  const each = messagesPerRequest > 0 ? `; ${plural(messagesPerRequest, 'message')} a request` : '';
  return `Offered ${rate(offeredPerS)}, served ${rate(servedPerS)}${possible} messages/s${why}${each}`;
}

/** The ledgers of all tiers, as a table. */
export function LedgerTable() {
  const known = figures.value?.tiers.filter(({ instances, ledger }) => instances > 0 || ledger.sent > 0) ?? [];
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Ledger by tier">
      <table>
        <thead>
          <tr>
            <th scope="col">Tier</th>
            {[...TERMS, ...EXTRA_COUNTS].map(({ key, title }) => (
              <th key={key} scope="col" class="number">
                {title}
              </th>
            ))}
            <th scope="col">balance</th>
          </tr>
        </thead>
        <tbody>
          {known.map((tier) => (
            <LedgerRow key={tier.tier} of={tier} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function LedgerRow({ of }: { of: TierFigures }) {
  return (
    <tr class={of.balanced ? undefined : 'is-off'}>
      <th scope="row">{of.tier}</th>
      {[...TERMS, ...EXTRA_COUNTS].map(({ key }) => (
        <td key={key} class={`number ${classOf(key, valueOf(of, key))}`}>
          {count(valueOf(of, key))}
        </td>
      ))}
      <td>{of.balanced ? '✓ balanced' : '✗ off'}</td>
    </tr>
  );
}
