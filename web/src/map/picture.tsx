/** The live picture of the tiers. */
import { effect, useComputed, useSignal, type ReadonlySignal } from '@preact/signals';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { dark } from '../ui/theme.ts';
import type { Event, Topology } from '../wire.ts';
import { layOut, markAt, placesOf, type Layout } from './layout.ts';
import { Legend } from './legend.tsx';
import { neighbour } from './neighbour.ts';
import { paletteOf } from './palette.ts';
import { PanelButton, Tip } from './panels.tsx';
import type { Rates } from './rates.ts';
import { routeShape, routesOf } from './routes.ts';
import { Scene } from './scene.ts';
import { TierTitles } from './tier-titles.tsx';

interface Props {
  topology: ReadonlySignal<Topology>;
  rates: ReadonlySignal<Rates>;
  /** Calls back with the events of each change, until the function given back is called. */
  watchEvents: (watcher: (events: readonly Event[]) => void) => () => void;
  /** The clock by which everything moves, in milliseconds. */
  now: () => number;
  onOpen: (id: string) => void;
}

interface Hover {
  id: string;
  worker?: number | undefined;
}

/** The picture with its legend. The canvases draw; the buttons over them are for pointers, keys and screen readers. */
export function Picture({ topology, rates, watchEvents, now, onOpen }: Props) {
  const stage = useRef<HTMLDivElement>(null);
  const room = useRoom(stage);
  const { width, target, scale } = room;
  const shape = useComputed(() =>
    Object.values(topology.value.instances)
      .map((view) => `${view.instance.id} ${placesOf(view)}`)
      .join(),
  ).value;
  // Made again when something comes or goes, not whenever a worker changes its state.
  const layout = useMemo(
    () => layOut(Object.values(topology.peek().instances), width, target, scale),
    [shape, width, target, scale],
  );
  useScene(stage, { topology, rates, watchEvents, now }, layout, room);

  const hover = useSignal<Hover | undefined>(undefined);
  const current = useSignal<string | undefined>(undefined);
  const first = layout.panels.keys().next().value;
  const tabStop = useMemo(
    () => (): string | undefined => (current.value !== undefined && layout.panels.has(current.value) ? current.value : first),
    [layout],
  );
  const move = (event: KeyboardEvent): void => {
    const from = tabStop();
    const next = from && neighbour(layout, from, event.key);
    if (!next) return;
    event.preventDefault();
    current.value = next;
    stage.current?.querySelector<HTMLElement>(`[data-id="${CSS.escape(next)}"]`)?.focus();
  };
  const focus = ({ target: on }: FocusEvent): void => {
    const id = idOf(on);
    if (id === undefined) return;
    current.value = id;
    hover.value = { id };
  };
  const point = (event: PointerEvent): void => {
    const id = idOf(event.target);
    hover.value = id === undefined ? undefined : { id, worker: workerAt(layout, id, event) };
  };
  const open = ({ target: on }: MouseEvent): void => {
    const id = idOf(on);
    if (id !== undefined) onOpen(id);
  };
  // Their elements stay the same ones while instances only change; each button follows its own instance.
  const panels = useMemo(
    () =>
      [...layout.panels.values()].map((panel) => (
        <PanelButton key={panel.id} panel={panel} topology={topology} rates={rates} tabStop={tabStop} />
      )),
    [layout, tabStop],
  );

  return (
    <section class="picture" aria-label="The tiers">
      <div
        class={`stage ${layout.across ? 'is-across' : 'is-down'}`}
        ref={stage}
        style={{ height: `${layout.height}px` }}
        onKeyDown={move}
        onClick={open}
        onFocusIn={focus}
        onFocusOut={() => (hover.value = undefined)}
        onPointerMove={point}
        onPointerLeave={() => (hover.value = undefined)}
      >
        <canvas data-layer="links" aria-hidden="true" />
        <TierTitles layout={layout} topology={topology} rates={rates} />
        {layout.nodes.map(({ key, node, x, y, width: wide }) => (
          <span key={key} class="node" style={{ left: `${x}px`, top: `${y}px`, maxWidth: `${wide}px` }} aria-hidden="true">
            {node}
          </span>
        ))}
        <div role="group" aria-label="Instances; the arrow keys move between them">
          {panels}
        </div>
        <canvas data-layer="marks" aria-hidden="true" />
        <canvas data-layer="dots" aria-hidden="true" />
        <PointedTip layout={layout} topology={topology} hover={hover} />
      </div>
      <Legend />
    </section>
  );
}

function PointedTip({
  layout,
  topology,
  hover,
}: {
  layout: Layout;
  topology: ReadonlySignal<Topology>;
  hover: ReadonlySignal<Hover | undefined>;
}) {
  const pointed = hover.value;
  return pointed ? <Tip layout={layout} view={topology.value.instances[pointed.id]} worker={pointed.worker} /> : null;
}

/** The instance whose button an event was in. */
const idOf = (target: EventTarget | null): string | undefined =>
  target instanceof Element ? target.closest<HTMLElement>('[data-id]')?.dataset['id'] : undefined;

function workerAt(layout: Layout, id: string, { target, clientX, clientY }: PointerEvent): number | undefined {
  const panel = layout.panels.get(id);
  const box = target instanceof Element ? target.closest('[data-id]')?.getBoundingClientRect() : undefined;
  return panel && box && markAt(panel, panel.x + clientX - box.left, panel.y + clientY - box.top);
}

/** The room there is, in pixels, the size of the root font against the usual one, and the screen's pixels for each. */
interface Room {
  width: number;
  target: number;
  scale: number;
  density: number;
}

function useRoom(stage: { current: HTMLElement | null }): Room {
  const [room, setRoom] = useState<Room>({ width: 800, target: 440, scale: 1, density: 1 });
  useEffect(() => {
    const measure = (): void => {
      const scale = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
      const target = Math.max(320 * scale, innerHeight * 0.62);
      // More than two pixels nobody sees.
      setRoom({ width: stage.current?.clientWidth ?? 800, target, scale, density: Math.min(2, devicePixelRatio) });
    };
    const left = new AbortController();
    const { signal } = left;
    const followDensity = (): void => {
      measure();
      // True until the window is moved to a screen of another density.
      const isSame = matchMedia(`(resolution: ${devicePixelRatio}dppx)`);
      isSame.addEventListener('change', followDensity, { once: true, signal });
    };
    followDensity();
    const observer = new ResizeObserver(measure);
    if (stage.current) observer.observe(stage.current);
    // The height of the window.
    addEventListener('resize', measure, { signal });
    return () => {
      observer.disconnect();
      left.abort();
    };
  }, []);
  return room;
}

function useScene(
  stage: { current: HTMLElement | null },
  { topology, rates, watchEvents, now }: Omit<Props, 'onOpen'>,
  layout: Layout,
  { scale, density }: Room,
): void {
  const scene = useRef<Scene>(null);
  const shape = useComputed(() => routeShape(topology.value));
  const routes = useComputed(() => (void shape.value, routesOf(topology.peek())));
  useEffect(() => {
    const canvas = (layer: string) => stage.current?.querySelector<HTMLCanvasElement>(`[data-layer=${layer}]`);
    const [links, marks, dots] = [canvas('links'), canvas('marks'), canvas('dots')];
    if (!stage.current || !links || !marks || !dots) return undefined;
    const made = new Scene({ links, marks, dots }, now);
    scene.current = made;
    const unwatch = watchEvents((events) => made.animate(events));
    const observer = new IntersectionObserver(([entry]) => made.show(entry?.isIntersecting ?? true));
    observer.observe(stage.current);
    return () => {
      unwatch();
      observer.disconnect();
      made.stop();
    };
  }, []);
  // Not in the component: what the canvases draw needs no rendering of elements.
  useEffect(
    () =>
      effect(() => {
        const palette = paletteOf(dark.value);
        const view = { layout, scale, density, palette, routes: routes.value, topology: topology.value, rates: rates.value };
        scene.current?.update(view);
      }),
    [layout, scale, density],
  );
}
