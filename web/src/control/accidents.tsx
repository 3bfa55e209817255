/** What can happen to a single worker: a panic, a stall. Both pass by themselves. */
import { useEffect, useState } from 'preact/hooks';
import { panicWorker, stallWorker } from '../api.ts';
import { brief, plural } from '../format.ts';
import { topology } from '../store.ts';
import { living, nameOf } from '../topology.ts';
import { Said, useAction } from '../views/action.tsx';
import { InstanceChoice } from './faults.tsx';
import { permission } from './permission.tsx';

/** Panics or stalls one worker. */
export function Accidents({ preset }: { preset: string }) {
  const instances = [...living(topology.value, 'responder'), ...living(topology.value, 'requester')];
  const [target, setTarget] = useState(preset);
  const [worker, setWorker] = useState(0);
  const [ms, setMs] = useState(5_000);
  const action = useAction();
  useEffect(() => setTarget(preset), [preset]);
  const chosen = instances.find((view) => view.instance.id === target) ?? instances[0];
  const disabled = action.busy || permission.value !== 'permitted' || !chosen;
  const restarts = chosen?.workers.reduce((sum, { restarts: number }) => sum + number, 0) ?? 0;
  const act = (call: (id: string) => Promise<unknown>, said: string): void => {
    if (chosen)
      void action.run(async () => (await call(chosen.instance.id), `Worker ${worker} of ${nameOf(chosen)} ${said}`));
  };
  return (
    <section aria-label="A single worker">
      <h2>A single worker</h2>
      <form class="row" onSubmit={(event) => event.preventDefault()}>
        <InstanceChoice
          instances={instances}
          value={chosen?.instance.id ?? ''}
          disabled={disabled}
          onChange={setTarget}
        />
        <label>
          Worker
          <select value={worker} disabled={disabled} onChange={(event) => setWorker(Number(event.currentTarget.value))}>
            {chosen?.workers.map(({ index, id, state }) => (
              <option key={index} value={index}>
                {index} {id && `(${brief(id)})`} {state}
              </option>
            ))}
          </select>
        </label>
        <button
          type="button"
          disabled={disabled}
          onClick={() => act((id) => panicWorker(id, worker), 'panics; its supervisor restarts it.')}
        >
          Panic
        </button>
        <label>
          Stall, ms
          <input
            type="number"
            min="1"
            value={ms}
            disabled={disabled}
            onInput={(event) => setMs(event.currentTarget.valueAsNumber || 1)}
          />
        </label>
        <button
          type="button"
          disabled={disabled}
          onClick={() =>
            act((id) => stallWorker(id, worker, ms), `stalls for ${ms} ms on its next message, then goes on.`)
          }
        >
          Stall
        </button>
      </form>
      <Said action={action} />
      {chosen && (
        <p class="hint">
          {plural(restarts, 'restart')} in {nameOf(chosen)} so far.
        </p>
      )}
    </section>
  );
}
