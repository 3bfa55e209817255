/** Faults of the responders: what is set, the way back to normal, and setting more. */
import { useEffect, useState } from 'preact/hooks';
import { living, nameOf } from '../../domain/topology.ts';
import { permission } from '../../state/permission.ts';
import { topology } from '../../state/store.ts';
import { clearAllFaults, clearFaults, setFaults } from '../../transport/api.ts';
import { ActionStatus, useAction } from '../../ui/action.tsx';
import { numberFrom, useDraft, wholeFrom } from '../../ui/draft.ts';
import { NumberField } from '../../ui/number-field.tsx';
import type { Faults } from '../../wire.ts';
import { describeFaults } from './describe-faults.ts';
import { InstanceChoice } from './instance-choice.tsx';

/** The longest extra latency, in milliseconds: ten minutes. */
const LONGEST_MS = 600_000;

const NORMAL: Faults = { errorRate: 0, extraLatencyMs: 0, failing: false };

/** The faults that are set, with a way back for each and for all. */
export function ActiveFaults() {
  const faulty = living(topology.value, 'responder').filter((view) => view.faults || view.stalled);
  const action = useAction();
  if (faulty.length === 0) return <ActionStatus action={action} />;
  const disabled = action.busy || permission.value !== 'permitted';
  return (
    <section class="active-faults" aria-label="Faults that are set">
      <h2>Not normal</h2>
      <ul>
        {faulty.map((view) => (
          <li key={view.instance.id}>
            <b>{nameOf(view)}</b> {describeFaults(view)}
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
      <ActionStatus action={action} />
    </section>
  );
}

/** Sets faults on one responder or on all. */
export function FaultControl({ preset }: { preset: string }) {
  const instances = living(topology.value, 'responder');
  const [target, setTarget] = useState(preset);
  const action = useAction();
  useEffect(() => setTarget(preset), [preset]);
  const chosen = instances.filter((view) => !target || view.instance.id === target);
  // The form begins with what is set, so that setting one fault does not clear another unseen.
  const set = chosen[0]?.faults ?? NORMAL;
  const { fields, change } = useDraft(textsOf(set), target);
  const disabled = action.busy || permission.value !== 'permitted' || chosen.length === 0;
  const apply = async (): Promise<string> => {
    const faults = faultsFrom(fields);
    change(textsOf(faults));
    await Promise.all(chosen.map((view) => setFaults(view.instance.id, faults)));
    return `Set on ${chosen.length === 1 && chosen[0] ? nameOf(chosen[0]) : `${chosen.length} responders`}.`;
  };
  return (
    <section aria-label="Faults">
      <h2>Faults</h2>
      <p class="hint">What responders do wrong on purpose, until they are brought back to normal or restarted.</p>
      <form
        class="settings"
        onSubmit={(event) => {
          event.preventDefault();
          void action.run(apply);
        }}
      >
        <InstanceChoice
          instances={instances}
          value={target}
          all="every responder"
          disabled={disabled}
          onChange={setTarget}
        />
        <NumberField
          label={
            <span>
              Errors, %<small>of the messages are answered with an error</small>
            </span>
          }
          min={0}
          max={100}
          text={fields.errorPercent}
          disabled={disabled}
          onText={(errorPercent) => change({ errorPercent })}
        />
        <NumberField
          label={
            <span>
              Extra latency, ms<small>longer for each message</small>
            </span>
          }
          min={0}
          max={LONGEST_MS}
          step={1}
          text={fields.extraLatencyMs}
          disabled={disabled}
          onText={(extraLatencyMs) => change({ extraLatencyMs })}
        />
        <label>
          <span>
            Answers healthy but fails<small>its health is good, its every reply an error</small>
          </span>
          <input
            type="checkbox"
            checked={fields.failing === 'yes'}
            disabled={disabled}
            onChange={(event) => change({ failing: event.currentTarget.checked ? 'yes' : 'no' })}
          />
        </label>
        <button type="submit" disabled={disabled}>
          Set faults
        </button>
      </form>
      <ActionStatus action={action} />
    </section>
  );
}

/** Faults as a form's texts. */
export const textsOf = ({ errorRate, extraLatencyMs, failing }: Faults) => ({
  // As many digits as a share has that was typed as a percentage: 0.07 * 100 is 7.000000000000001.
  errorPercent: String(Number((errorRate * 100).toPrecision(12))),
  extraLatencyMs: String(extraLatencyMs),
  failing: failing ? 'yes' : 'no',
});

/** The faults that a form asks for. Throws an `Error` that says which field is wrong. */
export const faultsFrom = ({ errorPercent, extraLatencyMs, failing }: ReturnType<typeof textsOf>): Faults => ({
  errorRate: numberFrom('The share of errors', errorPercent, 0, 100) / 100,
  extraLatencyMs: wholeFrom('The extra latency', extraLatencyMs, 0, LONGEST_MS),
  failing: failing === 'yes',
});
