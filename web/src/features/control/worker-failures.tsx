/** What can happen to a single worker: a panic, a stall. Both pass by themselves. */
import { useEffect, useState } from 'preact/hooks';
import { living, nameOf } from '../../domain/topology.ts';
import { permission } from '../../state/permission.ts';
import { topology } from '../../state/store.ts';
import { panicWorker, stallWorker } from '../../transport/api.ts';
import { ActionStatus, useAction } from '../../ui/action.tsx';
import { wholeFrom } from '../../ui/draft.ts';
import { brief, plural } from '../../ui/format.ts';
import { NumberField } from '../../ui/number-field.tsx';
import { InstanceChoice } from './instance-choice.tsx';

/** The longest stall, in milliseconds: ten minutes. */
const LONGEST_STALL_MS = 600_000;

/** Panics or stalls one worker. */
export function WorkerFailures({ preset }: { preset: string }) {
  const instances = [...living(topology.value, 'responder'), ...living(topology.value, 'requester')];
  const [target, setTarget] = useState(preset);
  const [worker, setWorker] = useState(0);
  const [ms, setMs] = useState('5000');
  const action = useAction();
  useEffect(() => setTarget(preset), [preset]);
  const chosen = instances.find((view) => view.instance.id === target) ?? instances[0];
  const disabled = action.busy || permission.value !== 'permitted' || !chosen;
  // A requester's workers wait for replies; there is no work of their own to hold up.
  const canStall = chosen?.instance.tier === 'responder';
  const at = chosen?.workers.some(({ index }) => index === worker) ? worker : (chosen?.workers[0]?.index ?? 0);
  const restarts = chosen?.workers.reduce((sum, { restarts: number }) => sum + number, 0) ?? 0;
  const act = (call: (id: string) => Promise<unknown>, said: string): void => {
    if (chosen)
      void action.run(async () => (await call(chosen.instance.id), `Worker ${at} of ${nameOf(chosen)} ${said}`));
  };
  return (
    <section aria-label="A single worker">
      <h2>A single worker</h2>
      <p class="hint">An accident on purpose. The supervisor restarts a worker that panics; a stall ends by itself.</p>
      <form class="settings" onSubmit={(event) => event.preventDefault()}>
        <InstanceChoice
          instances={instances}
          value={chosen?.instance.id ?? ''}
          disabled={disabled}
          onChange={setTarget}
        />
        <label>
          <span>Worker</span>
          <select value={at} disabled={disabled} onChange={(event) => setWorker(Number(event.currentTarget.value))}>
            {chosen?.workers.map(({ index, id, state }) => (
              <option key={index} value={index}>
                {index} {id && `(${brief(id)})`} {state}
              </option>
            ))}
          </select>
        </label>
        <NumberField
          label={
            <span>
              Stall, ms<small>{canStall ? 'that its next message is held up' : 'of a responder only'}</small>
            </span>
          }
          min={1}
          max={LONGEST_STALL_MS}
          step={1}
          text={ms}
          disabled={disabled || !canStall}
          onText={setMs}
        />
        <div class="buttons">
          <button
            type="button"
            disabled={disabled || !canStall}
            onClick={() =>
              act(
                (id) => stallWorker(id, at, wholeFrom('The stall', ms, 1, LONGEST_STALL_MS)),
                `stalls for ${ms} ms on its next message.`,
              )
            }
          >
            Stall
          </button>
          <button
            type="button"
            class="danger"
            disabled={disabled}
            onClick={() => act((id) => panicWorker(id, at), 'panics; its supervisor restarts it.')}
          >
            Panic
          </button>
        </div>
      </form>
      <ActionStatus action={action} />
      {chosen && (
        <p class="hint">
          {plural(restarts, 'restart')} in {nameOf(chosen)} so far.
        </p>
      )}
    </section>
  );
}
