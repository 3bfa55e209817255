/** How many workers each instance has. */
import { useEffect, useState } from 'preact/hooks';
import { setWorkers } from '../../transport/api.ts';
import { plural } from '../../ui/format.ts';
import { topology } from '../../state/store.ts';
import { living, nameOf } from '../../domain/topology.ts';
import { Said, useAction } from '../../ui/action.tsx';
import type { InstanceView, Tier } from '../../wire.ts';
import { permission } from './permission.tsx';

/** The most workers that an instance may have. */
const MOST = 10_000;

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
  const apply = (targets: InstanceView[], workers: number): Promise<void> =>
    action.run(async () => {
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
        workers={first.workers.filter((worker) => worker.state !== 'gone').length}
        busy={action.busy}
        onApply={(workers) => apply(instances, workers)}
      />
      {instances.length > 1 && (
        <details open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
          <summary>One by one</summary>
          {open &&
            instances.map((view) => (
              <Stepper
                key={view.instance.id}
                label={`${nameOf(view)} on ${view.instance.node}`}
                workers={view.workers.length}
                busy={action.busy}
                onApply={(workers) => apply([view], workers)}
              />
            ))}
        </details>
      )}
      <Said action={action} />
    </div>
  );
}

interface StepperProps {
  label: string;
  workers: number;
  busy: boolean;
  onApply: (workers: number) => void;
}

function Stepper({ label, workers, busy, onApply }: StepperProps) {
  const [wanted, setWanted] = useState(workers);
  // Follows the instance, unless somebody is about to change it here.
  useEffect(() => setWanted(workers), [workers]);
  const disabled = busy || permission.value !== 'permitted';
  const step = (by: number): void => setWanted(Math.max(0, Math.min(MOST, wanted + by)));
  return (
    <form
      class="stepper"
      aria-label={`Workers of ${label}`}
      onSubmit={(event) => {
        event.preventDefault();
        onApply(wanted);
      }}
    >
      <span class="stepper-label">{label}</span>
      <button type="button" aria-label="Fewer" disabled={disabled} onClick={() => step(-1)}>
        −
      </button>
      <input
        type="number"
        aria-label={`Workers of ${label}`}
        min="0"
        max={MOST}
        value={wanted}
        disabled={disabled}
        onInput={(event) => setWanted(event.currentTarget.valueAsNumber || 0)}
      />
      <button type="button" aria-label="More" disabled={disabled} onClick={() => step(1)}>
        +
      </button>
      <button type="submit" disabled={disabled || wanted === workers}>
        Apply
      </button>
    </form>
  );
}
