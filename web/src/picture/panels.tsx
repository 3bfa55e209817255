/** An instance in the picture: its frame, its name and what is said of it. */
import { plural, rate, short } from '../format.ts';
import { rateOf } from '../rates.ts';
import { hasPool, nameOf } from '../topology.ts';
import type { InstanceView, WorkerState } from '../wire.ts';
import type { Layout, Panel } from './layout.ts';

/** The queue that fills a panel's bar; the bar grows with the logarithm. */
const FULL_QUEUE = 1_000;

interface Props {
  panel: Panel;
  view: InstanceView;
  perS: number;
  tabStop: boolean;
  onOpen: () => void;
  onFocus: () => void;
  onPoint: (event: PointerEvent) => void;
  onLeave: () => void;
}

/** The frame of an instance, which opens its details. */
export function PanelButton({ panel, view, perS, tabStop, onOpen, onFocus, onPoint, onLeave }: Props) {
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
      tabIndex={tabStop ? 0 : -1}
      onClick={onOpen}
      onFocus={onFocus}
      onBlur={onLeave}
      onPointerMove={onPoint}
      onPointerLeave={onLeave}
    >
      {panel.named && (
        <span class="panel-head">
          <b>{nameOf(view)}</b>
          {view.state !== 'ready' && <em>{view.state}</em>}
          {view.faults && <em>fault</em>}
          {view.queue > 0 && <span class="panel-queue">{short(view.queue)} q</span>}
          <span class="panel-figure">
            {hasPool(view.instance.tier) ? `${busy}/${view.workers.length}` : `${rate(perS)}/s`}
          </span>
        </span>
      )}
      <span class="unseen">
        {!panel.named && nameOf(view)} {describe(view, perS)}
      </span>
      <span class="panel-bar" style={{ width: `${fill * 100}%` }} />
    </button>
  );
}

/** What the picture shows of an instance, in words. */
function describe(view: InstanceView, perS: number): string {
  const states = Object.entries(statesOf(view)).map(([state, number]) => `${number} ${state}`);
  const parts = [
    `${view.instance.tier} on ${view.instance.node}`,
    view.reason ? `${view.state}: ${view.reason}` : view.state,
    view.workers.length > 0 ? `${plural(view.workers.length, 'worker')}: ${states.join(', ')}` : '',
    `${view.queue} queued`,
    rateOf(view.instance.tier, perS),
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
