/** Faults of the responders: what is set, the way back to normal, and setting more. */
import { useEffect, useState } from 'preact/hooks';
import { clearAllFaults, clearFaults, setFaults } from '../../transport/api.ts';
import { duration, percent } from '../../ui/format.ts';
import { topology } from '../../state/store.ts';
import { living, nameOf } from '../../domain/topology.ts';
import { Said, useAction } from '../../ui/action.tsx';
import type { Faults, InstanceView } from '../../wire.ts';
import { InstanceChoice } from './instance-choice.tsx';
import { permission } from './permission.tsx';

const NORMAL: Faults = { errorRate: 0, extraLatencyMs: 0, failing: false };

/** The faults that are set, with a way back for each and for all. */
export function ActiveFaults() {
  const faulty = living(topology.value, 'responder').filter((view) => view.faults || view.stalled);
  const action = useAction();
  if (faulty.length === 0) return <Said action={action} />;
  const disabled = action.busy || permission.value !== 'permitted';
  return (
    <section class="active-faults" aria-label="Faults that are set">
      <h2>Not normal</h2>
      <ul>
        {faulty.map((view) => (
          <li key={view.instance.id}>
            <b>{nameOf(view)}</b> {inWords(view)}
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

/** What is wrong with an instance on purpose, in a few words. */
export function inWords({ faults, stalled }: InstanceView): string {
  const parts = [
    faults && faults.errorRate > 0 && `${percent(faults.errorRate)} of replies are errors`,
    faults && faults.extraLatencyMs > 0 && `${duration(faults.extraLatencyMs)} slower`,
    faults?.failing && 'answers healthy but fails',
    stalled && `worker ${stalled.join(', ')} stalls`,
  ];
  return parts.filter(Boolean).join('; ');
}

/** Sets faults on one responder or on all. */
export function FaultControl({ preset }: { preset: string }) {
  const instances = living(topology.value, 'responder');
  const [target, setTarget] = useState(preset);
  const [faults, setForm] = useState<Faults>(NORMAL);
  const action = useAction();
  useEffect(() => setTarget(preset), [preset]);
  const chosen = instances.filter((view) => !target || view.instance.id === target);
  // The form begins with what is set, so that setting one fault does not clear another unseen.
  const current = JSON.stringify(chosen[0]?.faults ?? NORMAL);
  useEffect(() => setForm(JSON.parse(current) as Faults), [current, target]);
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
      <p class="hint">What responders do wrong on purpose, until they are brought back to normal or restarted.</p>
      <form class="settings" onSubmit={submit}>
        <InstanceChoice
          instances={instances}
          value={target}
          all="every responder"
          disabled={disabled}
          onChange={setTarget}
        />
        <label>
          <span>
            Errors, %<small>of the messages are answered with an error</small>
          </span>
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
          <span>
            Extra latency, ms<small>longer for each message</small>
          </span>
          <input
            type="number"
            min="0"
            max="600000"
            step="1"
            value={faults.extraLatencyMs}
            disabled={disabled}
            onInput={(event) => setForm({ ...faults, extraLatencyMs: event.currentTarget.valueAsNumber || 0 })}
          />
        </label>
        <label>
          <span>
            Answers healthy but fails<small>its health is good, its every reply an error</small>
          </span>
          <input
            type="checkbox"
            checked={faults.failing}
            disabled={disabled}
            onChange={(event) => setForm({ ...faults, failing: event.currentTarget.checked })}
          />
        </label>
        <button type="submit" disabled={disabled}>
          Set faults
        </button>
      </form>
      <Said action={action} />
    </section>
  );
}
