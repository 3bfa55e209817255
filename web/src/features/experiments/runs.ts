/** The runs that are kept, and the one that is looked at: read from the server when something has changed. */
import { effect, signal } from '@preact/signals';
import { connection } from '../../state/connection.ts';
import { experiment } from '../../state/store.ts';
import { readExperiments, readReport, readRun, readRuns } from '../../transport/api.ts';
import type { Overview, Report, RunView } from '../../wire.ts';

/** What came of reading something: nothing yet, the thing, or why not. */
export type Read<T> = { state: 'reading' } | { state: 'read'; value: T } | { state: 'failed'; problem: string };

/** A run and what its report shows; none before its first trial has ended. */
export interface RunDetails {
  run: RunView;
  report: Report | undefined;
}

export const overview = signal<Read<Overview>>({ state: 'reading' });
export const runs = signal<Read<RunView[]>>({ state: 'reading' });

/** The run whose details are shown, with its id. */
export const details = signal<{ id: string } & Read<RunDetails>>({ id: '', state: 'reading' });

async function read<T>(call: () => Promise<T>): Promise<Read<T>> {
  try {
    return { state: 'read', value: await call() };
  } catch (error) {
    return { state: 'failed', problem: error instanceof Error ? error.message : String(error) };
  }
}

async function refreshOverview(): Promise<void> {
  overview.value = await read(readExperiments);
}

export async function refreshRuns(): Promise<void> {
  runs.value = await read(readRuns);
}

let reading: string | undefined;
let again = false;

/** Reads a run's details; while they are being read, once more after that: a trial may have ended meanwhile. */
export async function openRun(id: string): Promise<void> {
  if (reading === id) {
    again = true;
    return;
  }
  reading = id;
  if (details.peek().id !== id) details.value = { id, state: 'reading' };
  do {
    again = false;
    const found = await read(async () => {
      const run = await readRun(id);
      return { run, report: run.files.includes('report.json') ? await readReport(id) : undefined };
    });
    // Another one may have been opened in the meantime.
    if (reading !== id) return;
    details.value = { id, ...found };
  } while (again);
  reading = undefined;
}

/**
 * Follows the server while the view is shown: reads plans and runs now and each time the server comes back, the details of
 * the experiment with each trial that ends, and the runs when it ends.
 */
export function followExperiment(): () => void {
  let last = '';
  const unfollow = [
    effect(() => {
      if (connection.value.state !== 'open') return;
      void refreshOverview();
      void refreshRuns();
    }),
    effect(() => {
      if (connection.value.state !== 'open') return;
      const now = experiment.value;
      const news = now ? `${now.id} ${now.state} ${now.ended}` : 'none';
      if (news === last) return;
      const hasEnded = now?.state !== last.split(' ')[1];
      last = news;
      if (hasEnded) void refreshRuns();
      if (now && details.peek().id === now.id) void openRun(now.id);
    }),
  ];
  return () => unfollow.forEach((stop) => stop());
}
