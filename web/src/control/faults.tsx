/** Faults of the responders, and the way back to normal. */
import { useEffect, useState } from 'preact/hooks';
import { clearAllFaults, clearFaults, setFaults } from '../api.ts';
import { duration, percent } from '../format.ts';
import { topology } from '../store.ts';
import { living, nameOf } from '../topology.ts';
import { Said, useAction } from '../views/action.tsx';
import type { Faults, InstanceView } from '../wire.ts';
import { permission } from './permission.tsx';

const NORMAL: Faults = { errorRate: 0, extraLatencyMs: 0, failing: false };

/** The faults that are set, with a way back for each and for all. */
export function ActiveFaults() {
  const faulty = living(topology.value, 'responder').filter((view) => view.faults);
  const action = useAction();
  if (faulty.length === 0) return <Said action={action} />;
  const disabled = action.busy || permission.value !== 'permitted';
  return (
    <section class="active-faults" aria-label="Faults that are set">
      <h2>Not normal</h2>
      <ul>
        {faulty.map((view) => (
          <li key={view.instance.id}>
            <b>{nameOf(view)}</b> {view.faults && inWords(view.faults)}
            <button
              type="button"
              disabled={disabled}
              aria-label={`Back to normal: ${nameOf(view)}`}
              onClick={() =>
                action.run(async () => (await clearFaults(view.instance.id), `${nameOf(view)} is back to normal.`))
              }
            >
              Back to normal
            </button>
          </li>
        ))}
      </ul>
      <button
        type="button"
        class="primary"
        disabled={disabled}
        onClick={() => action.run(async () => (await clearAllFaults(), 'Everything is back to normal.'))}
      >
        Everything back to normal
      </button>
      <Said action={action} />
    </section>
  );
}

/** A fault in a few words. */
function inWords({ errorRate, extraLatencyMs, failing }: Faults): string {
  const parts = [
    errorRate > 0 && `${percent(errorRate)} of replies are errors`,
    extraLatencyMs > 0 && `${duration(extraLatencyMs)} slower`,
    failing && 'answers healthy but fails',
  ];
  return parts.filter(Boolean).join(', ');
}

/** Sets faults on one responder or on all. */
export function FaultControl({ preset }: { preset: string }) {
  const instances = living(topology.value, 'responder');
  const [target, setTarget] = useState(preset);
  const [faults, setForm] = useState<Faults>(NORMAL);
  const action = useAction();
  useEffect(() => setTarget(preset), [preset]);
  const chosen = instances.filter((view) => !target || view.instance.id === target);
  const disabled = action.busy || permission.value !== 'permitted' || chosen.length === 0;
  const submit = (event: Event): void => {
    event.preventDefault();
    void action.run(async () => {
      await Promise.all(chosen.map((view) => setFaults(view.instance.id, faults)));
      return `Set on ${chosen.length === 1 && chosen[0] ? nameOf(chosen[0]) : `${chosen.length} responders`}.`;
    });
  };
  return (
    <section aria-label="Faults">
      <h2>Faults</h2>
      <form class="row" onSubmit={submit}>
        <InstanceChoice
          instances={instances}
          value={target}
          all="every responder"
          disabled={disabled}
          onChange={setTarget}
        />
        <label>
          Errors, %
          <input
            type="number"
            min="0"
            max="100"
            step="any"
            value={faults.errorRate * 100}
            disabled={disabled}
            onInput={(event) => setForm({ ...faults, errorRate: (event.currentTarget.valueAsNumber || 0) / 100 })}
          />
        </label>
        <label>
          Extra latency, ms
          <input
            type="number"
            min="0"
            step="1"
            value={faults.extraLatencyMs}
            disabled={disabled}
            onInput={(event) => setForm({ ...faults, extraLatencyMs: event.currentTarget.valueAsNumber || 0 })}
          />
        </label>
        <label class="check">
          <input
            type="checkbox"
            checked={faults.failing}
            disabled={disabled}
            onChange={(event) => setForm({ ...faults, failing: event.currentTarget.checked })}
          />
          Answers healthy but fails
        </label>
        <button type="submit" disabled={disabled}>
          Set faults
        </button>
      </form>
      <Said action={action} />
    </section>
  );
}

interface ChoiceProps {
  instances: InstanceView[];
  value: string;
  /** What choosing none means; without it one must be chosen. */
  all?: string;
  disabled: boolean;
  onChange: (id: string) => void;
}

/** A list of instances to choose from. */
export function InstanceChoice({ instances, value, all, disabled, onChange }: ChoiceProps) {
  return (
    <label>
      Instance
      <select value={value} disabled={disabled} onChange={(event) => onChange(event.currentTarget.value)}>
        {all && <option value="">{all}</option>}
        {instances.map((view) => (
          <option key={view.instance.id} value={view.instance.id}>
            {nameOf(view)} on {view.instance.node}
          </option>
        ))}
      </select>
    </label>
  );
}
