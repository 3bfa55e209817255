/** An instance in the picture: its frame, its name and what is said of it. */
import { useComputed, type ReadonlySignal } from '@preact/signals';
import { hasPool, nameOf } from '../domain/topology.ts';
import { plural, rate, short } from '../ui/format.ts';
import type { InstanceView, Topology, WorkerState } from '../wire.ts';
import type { Layout, Panel } from './layout.ts';
import { rateOf, type Rates } from './rates.ts';

/** The queue that fills a panel's bar; the bar grows with the logarithm. */
const FULL_QUEUE = 1_000;

interface Props {
  panel: Panel;
  topology: ReadonlySignal<Topology>;
  rates: ReadonlySignal<Rates>;
  /** Which of the buttons the tab key stops at. */
  tabStop: () => string | undefined;
}

/** The frame of an instance, which opens its details. It is rendered when this instance changes. */
export function PanelButton({ panel, topology, rates, tabStop }: Props) {
  const view = useComputed(() => topology.value.instances[panel.id]).value;
  // As it is shown: most changes of a rate are smaller.
  const perS = useComputed(() => rate(rates.value[panel.id] ?? 0)).value;
  const isTabStop = tabStop() === panel.id;
  if (!view) return null;
  const busy = view.workers.filter((worker) => worker.state === 'busy').length;
  const classes = ['panel', `is-${view.state}`, (view.faults || view.stalled) && 'is-faulty'];
  const fill = Math.min(1, Math.log1p(view.queue) / Math.log1p(FULL_QUEUE));
  const place = { left: `${panel.x}px`, top: `${panel.y}px`, width: `${panel.width}px`, height: `${panel.height}px` };
  return (
    <button
      type="button"
      class={classes.filter(Boolean).join(' ')}
      style={place}
      data-id={panel.id}
      tabIndex={isTabStop ? 0 : -1}
    >
      {panel.named && (
        <span class="panel-head">
          <b>{nameOf(view)}</b>
          {view.state !== 'ready' && <em>{view.state}</em>}
          {view.faults && <em>fault</em>}
          {view.queue > 0 && <span class="panel-queue">{short(view.queue)} q</span>}
          <span class="panel-figure">
            {hasPool(view.instance.tier) ? `${busy}/${view.workers.length}` : `${perS}/s`}
          </span>
        </span>
      )}
      <span class="unseen">
        {!panel.named && nameOf(view)} {describe(view, rateOf(view.instance.tier, rates.peek()[panel.id] ?? 0))}
      </span>
      <span class="panel-bar" style={{ width: `${fill * 100}%` }} />
    </button>
  );
}

/** What the picture shows of an instance, in words. */
function describe(view: InstanceView, speed: string): string {
  const states = Object.entries(statesOf(view)).map(([state, number]) => `${number} ${state}`);
  const parts = [
    `${view.instance.tier} on ${view.instance.node}`,
    view.reason ? `${view.state}: ${view.reason}` : view.state,
    view.workers.length > 0 ? `${plural(view.workers.length, 'worker')}: ${states.join(', ')}` : '',
    `${view.queue} queued`,
    speed,
    view.faults ? 'with faults set' : '',
  ];
  return parts.filter(Boolean).join('; ');
}

/** How many workers are in each state. */
function statesOf(view: InstanceView): Partial<Record<WorkerState, number>> {
  const states: Partial<Record<WorkerState, number>> = {};
  for (const { state } of view.workers) states[state] = (states[state] ?? 0) + 1;
  return states;
}

/** What is under the pointer, in words. */
export function Tip({
  layout,
  view,
  worker,
}: {
  layout: Layout;
  view: InstanceView | undefined;
  worker?: number | undefined;
}) {
  const panel = view && layout.panels.get(view.instance.id);
  if (!view || !panel) return null;
  const pointed = view.workers.find(({ index }) => index === worker);
  const right = panel.x + panel.width / 2 > layout.width / 2;
  const place = {
    top: `${panel.y + panel.height + 4}px`,
    ...(right ? { right: `${layout.width - panel.x - panel.width}px` } : { left: `${panel.x}px` }),
  };
  const states = Object.entries(statesOf(view)).map(([state, number]) => `${number} ${state}`);
  return (
    <div class="tip" style={place} aria-hidden="true">
      <b>{nameOf(view)}</b> on {view.instance.node}
      <br />
      {view.state}
      {view.reason && `: ${view.reason}`}
      {states.length > 0 && ` · ${states.join(', ')}`} · {view.queue} queued
      {pointed && (
        <span class="tip-worker">
          Worker {pointed.index}: {pointed.state}, {plural(pointed.handled, 'message')} done
          {pointed.restarts > 0 && `, ${plural(pointed.restarts, 'restart')}`}
          {pointed.id && <code>{pointed.id}</code>}
        </span>
      )}
    </div>
  );
}
