/** Calls to the server by a button, with what became of them. */
import { useState } from 'preact/hooks';

/** What a call has come to. */
export interface Action {
  busy: boolean;
  problem: string;
  done: string;
  /** Starts a call; what it resolves to is shown. */
  run(call: () => Promise<string>): Promise<void>;
}

/** The state of one call after another. */
export function useAction(): Action {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');
  const [done, setDone] = useState('');
  const run = async (call: () => Promise<string>): Promise<void> => {
    setBusy(true);
    setProblem('');
    try {
      setDone(await call());
    } catch (error) {
      setDone('');
      setProblem(error instanceof Error ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  };
  return { busy, problem, done, run };
}

/** What became of the last call. */
export function ActionStatus({ action }: { action: Action }) {
  return (
    <p class={action.problem ? 'said is-problem' : 'said'} role="status">
      {action.problem || action.done}
    </p>
  );
}
