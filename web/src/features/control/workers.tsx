/** How many workers each instance has. */
import { useState } from 'preact/hooks';
import { living, nameOf } from '../../domain/topology.ts';
import { permission } from '../../state/permission.ts';
import { topology } from '../../state/store.ts';
import { setWorkers } from '../../transport/api.ts';
import { ActionStatus, useAction } from '../../ui/action.tsx';
import { useDraft, wholeFrom } from '../../ui/draft.ts';
import { plural } from '../../ui/format.ts';
import { NumberField } from '../../ui/number-field.tsx';
import type { InstanceView, Tier } from '../../wire.ts';

/** The most workers that an instance may have. */
const MAX_WORKERS = 10_000;

/** Worker counts of the two tiers that have workers. */
export function WorkerCounts() {
  return (
    <section aria-label="Workers">
      <h2>Workers</h2>
      <p class="hint">More workers inside a process. More processes are the swarm&rsquo;s to start.</p>
      <TierWorkers tier="requester" title="Requesters" />
      <TierWorkers tier="responder" title="Responders" />
    </section>
  );
}

/** The workers that an instance has: those that are gone are still listed for a while. */
export const countOf = ({ workers }: InstanceView): number => workers.filter(({ state }) => state !== 'gone').length;

function TierWorkers({ tier, title }: { tier: Tier; title: string }) {
  const instances = living(topology.value, tier);
  const action = useAction();
  const [open, setOpen] = useState(false);
  const first = instances[0];
  if (!first) {
    return (
      <p class="empty">
        No {tier} is connected: start one with <code>swarmq {tier}</code>.
      </p>
    );
  }
  const apply = (targets: readonly InstanceView[], text: string): Promise<void> =>
    action.run(async () => {
      const workers = wholeFrom('The number of workers', text, 0, MAX_WORKERS);
      await Promise.all(targets.map((view) => setWorkers(view.instance.id, workers)));
      const whom =
        targets.length === 1 && targets[0] ? nameOf(targets[0]) : `each of ${plural(targets.length, 'instance')}`;
      return `${plural(workers, 'worker')} asked for in ${whom}.`;
    });
  return (
    <div class="tier-workers">
      <h3>{title}</h3>
      <Stepper
        label={instances.length === 1 ? nameOf(first) : `each of ${instances.length} instances`}
        workers={countOf(first)}
        busy={action.busy}
        onApply={(text) => apply(instances, text)}
      />
      {instances.length > 1 && (
        <details open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
          <summary>One by one</summary>
          {open &&
            instances.map((view) => (
              <Stepper
                key={view.instance.id}
                label={`${nameOf(view)} on ${view.instance.node}`}
                workers={countOf(view)}
                busy={action.busy}
                onApply={(text) => apply([view], text)}
              />
            ))}
        </details>
      )}
      <ActionStatus action={action} />
    </div>
  );
}

interface StepperProps {
  label: string;
  workers: number;
  busy: boolean;
  onApply: (text: string) => void;
}

function Stepper({ label, workers, busy, onApply }: StepperProps) {
  const { fields, isChanged, change } = useDraft({ workers: String(workers) });
  const disabled = busy || permission.value !== 'permitted';
  const step = (by: number): void => {
    const wanted = Math.round(Number(fields.workers)) || 0;
    change({ workers: String(Math.max(0, Math.min(MAX_WORKERS, wanted + by))) });
  };
  return (
    <form
      class="stepper"
      aria-label={`Workers of ${label}`}
      onSubmit={(event) => {
        event.preventDefault();
        // As the instance will say it, so that the field is unchanged then.
        change({ workers: String(Number(fields.workers)) });
        onApply(fields.workers);
      }}
    >
      <span class="stepper-label">{label}</span>
      <button type="button" aria-label={`Fewer workers of ${label}`} disabled={disabled} onClick={() => step(-1)}>
        −
      </button>
      <NumberField
        name={`Number of workers of ${label}`}
        min={0}
        max={MAX_WORKERS}
        step={1}
        text={fields.workers}
        disabled={disabled}
        onText={(text) => change({ workers: text })}
      />
      <button type="button" aria-label={`More workers of ${label}`} disabled={disabled} onClick={() => step(1)}>
        +
      </button>
      <button type="submit" disabled={disabled || !isChanged}>
        Apply
      </button>
    </form>
  );
}
