/** The ledger: an equation that holds at any moment, and is red when it does not. */
import { ledgerOf, living, TIERS, unbalanced } from '../../domain/topology.ts';
import { topology } from '../../state/store.ts';
import { count } from '../../ui/format.ts';
import type { Ledger, Tier } from '../../wire.ts';

const TERMS: { key: keyof Ledger; title: string; sign: string }[] = [
  { key: 'sent', title: 'sent', sign: '' },
  { key: 'responses', title: 'responses', sign: '=' },
  { key: 'errors', title: 'errors', sign: '+' },
  { key: 'timeouts', title: 'timeouts', sign: '+' },
  { key: 'inFlight', title: 'in flight', sign: '+' },
];

const BESIDES: { key: keyof Ledger; title: string }[] = [
  { key: 'duplicates', title: 'duplicates' },
  { key: 'late', title: 'late' },
  { key: 'retries', title: 'sent again' },
];

/** The messages of the requester tier, as one line of figures. */
export function LedgerStrip() {
  const ledger = ledgerOf(topology.value, 'requester');
  const off = unbalanced(topology.value).map((view) => view.instance.id);
  const balanced = off.length === 0;
  return (
    <section class={balanced ? 'ledger' : 'ledger is-off'} aria-label="Ledger">
      <dl>
        {TERMS.map(({ key, title, sign }) => (
          <div key={key} class={`is-${key}`}>
            {sign && <span aria-hidden="true">{sign}</span>}
            <dt>{title}</dt>
            <dd>{count(ledger[key])}</dd>
          </div>
        ))}
        {BESIDES.map(({ key, title }) => (
          <div key={key} class="is-besides">
            <dt>{title}</dt>
            <dd>{count(ledger[key])}</dd>
          </div>
        ))}
      </dl>
      <p role="status">{balanced ? '✓ balanced' : `✗ does not balance: ${off.join(', ')}`}</p>
    </section>
  );
}

/** The ledgers of all tiers, as a table. */
export function LedgerTable() {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Ledger by tier">
      <table>
        <thead>
          <tr>
            <th scope="col">Tier</th>
            {[...TERMS, ...BESIDES].map(({ key, title }) => (
              <th key={key} scope="col" class="number">
                {title}
              </th>
            ))}
            <th scope="col">balance</th>
          </tr>
        </thead>
        <tbody>
          {TIERS.filter((tier) => living(topology.value, tier).length > 0).map((tier) => (
            <LedgerRow key={tier} tier={tier} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function LedgerRow({ tier }: { tier: Tier }) {
  const ledger = ledgerOf(topology.value, tier);
  const balanced = unbalanced(topology.value, tier).length === 0;
  return (
    <tr class={balanced ? undefined : 'is-off'}>
      <th scope="row">{tier}</th>
      {[...TERMS, ...BESIDES].map(({ key }) => (
        <td key={key} class="number">
          {count(ledger[key])}
        </td>
      ))}
      <td>{balanced ? '✓ balanced' : '✗ off'}</td>
    </tr>
  );
}
