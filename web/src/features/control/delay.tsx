/** The delay before each task, and how the brokers choose a worker. */
import { living } from '../../domain/topology.ts';
import { permission } from '../../state/permission.ts';
import { topology } from '../../state/store.ts';
import { setDelay, setDispatch } from '../../transport/api.ts';
import { ActionStatus, useAction } from '../../ui/action.tsx';
import { Choice } from '../../ui/choice.tsx';
import { numberFrom, useDraft } from '../../ui/draft.ts';
import { NumberField } from '../../ui/number-field.tsx';
import type { Delay, DelayShape, Dispatch } from '../../wire.ts';

type Field = Exclude<keyof Delay, 'kind'>;

const KINDS: { value: DelayShape; label: string; fields: Field[] }[] = [
  { value: 'none', label: 'none', fields: [] },
  { value: 'fixed', label: 'fixed', fields: ['meanMs'] },
  { value: 'uniform', label: 'uniform', fields: ['minMs', 'maxMs'] },
  { value: 'exponential', label: 'exponential', fields: ['meanMs', 'capMs'] },
  { value: 'log-normal', label: 'log-normal', fields: ['meanMs', 'sigma', 'capMs'] },
];

/** The longest delay that may be set, in milliseconds: ten minutes. */
const LONGEST_MS = 600_000;

/** The largest shape of the log-normal distribution that may be set. */
const LARGEST_SIGMA = 3;

const highest = (field: Field): number => (field === 'sigma' ? LARGEST_SIGMA : LONGEST_MS);

const TITLES: Record<Field, string> = {
  minMs: 'Shortest, ms',
  maxMs: 'Longest, ms',
  meanMs: 'Mean, ms',
  sigma: 'Shape (sigma)',
  capMs: 'At most, ms',
};

/** Without one, a responder keeps its present longest delay, or takes the mean if that is longer. */
const isOptional = (field: Field): boolean => field === 'capMs';

const DISPATCHES: { value: Dispatch; label: string }[] = [
  { value: 'round-robin', label: 'Each in turn' },
  { value: 'least-busy', label: 'Least busy' },
];

/** The delay of all responders. */
export function DelayControl() {
  const configured = living(topology.value, 'responder').find((view) => view.delay)?.delay;
  return configured ? <DelayForm configured={configured} /> : null;
}

function DelayForm({ configured }: { configured: Delay }) {
  const { kind: set, ...numbers } = configured;
  const texts = Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, String(value)]));
  const { fields, isChanged, change } = useDraft<Record<string, string>>({ kind: set, ...texts });
  const action = useAction();
  const kind = KINDS.find(({ value }) => value === fields['kind']);
  const disabled = action.busy || permission.value !== 'permitted';
  const apply = async (): Promise<string> => {
    const delay: Delay = { ...configured, kind: kind?.value ?? set };
    for (const field of kind?.fields ?? []) {
      const text = fields[field] ?? '';
      if (field === 'capMs' && text === '') {
        delete delay.capMs;
        change({ capMs: texts['capMs'] ?? '' });
        continue;
      }
      delay[field] = numberFrom(TITLES[field], text, 0, highest(field));
      change({ [field]: String(delay[field]) });
    }
    await setDelay(delay);
    return 'The delay is set on every responder.';
  };
  return (
    <section aria-label="Delay">
      <h2>Delay</h2>
      <p class="hint">How long every responder waits before each task: the work that is only pretended.</p>
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          void action.run(apply);
        }}
      >
        <label>
          Distribution
          <select
            value={fields['kind']}
            disabled={disabled}
            onChange={(event) => change({ kind: event.currentTarget.value })}
          >
            {KINDS.map(({ value, label }) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        </label>
        {kind?.fields.map((field) => (
          <NumberField
            key={field}
            label={TITLES[field]}
            min={0}
            max={highest(field)}
            optional={isOptional(field)}
            text={fields[field] ?? ''}
            disabled={disabled}
            onText={(text) => change({ [field]: text })}
          />
        ))}
        <button type="submit" disabled={disabled || !isChanged}>
          Apply
        </button>
      </form>
      <ActionStatus action={action} />
    </section>
  );
}

/** Which worker a broker gives the next message. */
export function DispatchControl() {
  const current = living(topology.value, 'broker').find((view) => view.dispatch)?.dispatch;
  return current ? <DispatchForm current={current} /> : null;
}

function DispatchForm({ current }: { current: Dispatch }) {
  const { fields, isChanged, change } = useDraft<{ dispatch: Dispatch }>({ dispatch: current });
  const action = useAction();
  const disabled = action.busy || permission.value !== 'permitted';
  const apply = async (): Promise<string> => {
    await setDispatch(fields.dispatch);
    return 'The dispatch is set on every broker.';
  };
  return (
    <section aria-label="Dispatch">
      <h2>Dispatch</h2>
      <p class="hint">How every broker gives messages to its workers.</p>
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          void action.run(apply);
        }}
      >
        <Choice
          legend="The next message goes to"
          value={fields.dispatch}
          options={DISPATCHES}
          disabled={disabled}
          onChange={(dispatch) => change({ dispatch })}
        />
        <button type="submit" disabled={disabled || !isChanged}>
          Apply
        </button>
      </form>
      <ActionStatus action={action} />
    </section>
  );
}
