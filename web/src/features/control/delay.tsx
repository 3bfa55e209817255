/** The delay before each task, and how the brokers choose a worker. */
import { useEffect, useState } from 'preact/hooks';
import { setDelay, setDispatch } from '../../transport/api.ts';
import { topology } from '../../state/store.ts';
import { living } from '../../domain/topology.ts';
import { Said, useAction } from '../../ui/action.tsx';
import { Choice } from '../../ui/choice.tsx';
import type { Delay, DelayShape, Dispatch } from '../../wire.ts';
import { permission } from './permission.tsx';

const KINDS: { value: DelayShape; label: string; fields: (keyof Delay)[] }[] = [
  { value: 'none', label: 'none', fields: [] },
  { value: 'fixed', label: 'fixed', fields: ['meanMs'] },
  { value: 'uniform', label: 'uniform', fields: ['minMs', 'maxMs'] },
  { value: 'exponential', label: 'exponential', fields: ['meanMs', 'capMs'] },
  { value: 'log-normal', label: 'log-normal', fields: ['meanMs', 'sigma', 'capMs'] },
];

const TITLES: Record<string, string> = {
  minMs: 'Shortest, ms',
  maxMs: 'Longest, ms',
  meanMs: 'Mean, ms',
  sigma: 'Shape (sigma)',
  capMs: 'At most, ms',
};

const DISPATCHES: { value: Dispatch; label: string }[] = [
  { value: 'round-robin', label: 'Each in turn' },
  { value: 'least-busy', label: 'Least busy' },
];

/** The delay of all responders. */
export function DelayControl() {
  const configured = living(topology.value, 'responder').find((view) => view.delay)?.delay;
  const [delay, setForm] = useState<Delay>();
  const action = useAction();
  useEffect(() => setForm(configured), [JSON.stringify(configured)]);
  if (!delay) return null;
  const kind = KINDS.find(({ value }) => value === delay.kind);
  const disabled = action.busy || permission.value !== 'permitted';
  const submit = (event: Event): void => {
    event.preventDefault();
    void action.run(async () => {
      await setDelay(delay);
      return 'The delay is set on every responder.';
    });
  };
  return (
    <section aria-label="Delay">
      <h2>Delay</h2>
      <p class="hint">How long every responder waits before each task: the work that is only pretended.</p>
      <form class="row" onSubmit={submit}>
        <label>
          Distribution
          <select
            value={delay.kind}
            disabled={disabled}
            onChange={(event) => setForm({ ...delay, kind: event.currentTarget.value as DelayShape })}
          >
            {KINDS.map(({ value, label }) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        </label>
        {kind?.fields.map((field) => (
          <label key={field}>
            {TITLES[field]}
            <input
              type="number"
              min="0"
              step={field === 'sigma' ? '0.1' : 'any'}
              value={delay[field]}
              disabled={disabled}
              onInput={(event) => setForm({ ...delay, [field]: event.currentTarget.valueAsNumber || 0 })}
            />
          </label>
        ))}
        <button type="submit" disabled={disabled}>
          Apply
        </button>
      </form>
      <Said action={action} />
    </section>
  );
}

/** Which worker a broker gives the next message. */
export function DispatchControl() {
  const action = useAction();
  const current = living(topology.value, 'broker').find((view) => view.dispatch)?.dispatch;
  if (!current) return null;
  return (
    <section aria-label="Dispatch">
      <h2>Dispatch</h2>
      <p class="hint">How every broker deals messages out to its workers.</p>
      <Choice
        legend="The next message goes to"
        value={current}
        options={DISPATCHES}
        disabled={action.busy || permission.value !== 'permitted'}
        onChange={(dispatch) =>
          action.run(async () => {
            await setDispatch(dispatch);
            return 'The dispatch is set on every broker.';
          })
        }
      />
      <Said action={action} />
    </section>
  );
}
