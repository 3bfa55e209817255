/** The live picture of the tiers. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { dark } from '../state/preferences.ts';
import { openInstance } from '../state/selection.ts';
import { rates, topology, watchEvents } from '../state/store.ts';
import { layOut, markAt, type Layout } from './layout.ts';
import { Legend } from './legend.tsx';
import { neighbour } from './neighbour.ts';
import { PanelButton, Tip } from './panels.tsx';
import { routesOf } from './routes.ts';
import { Scene } from './scene.ts';
import { TierTitles } from './tier-titles.tsx';

interface Hover {
  id: string;
  worker?: number | undefined;
}

/** The picture with its legend. The canvases draw; the buttons over them are for pointers, keys and screen readers. */
export function Picture() {
  const ground = useRef<HTMLDivElement>(null);
  const { width, target, scale } = useRoom(ground);
  const known = topology.value;
  const instances = Object.values(known.instances);
  const shape = instances.map((view) => `${view.instance.id} ${view.workers.length}`).join();
  // Laid out anew when something comes or goes, not whenever a worker changes its state.
  const layout = useMemo(() => layOut(instances, width, target, scale), [shape, width, target, scale]);
  const routes = useMemo(() => routesOf(known, rates.value), [known, rates.value]);
  const scene = useScene(ground);
  useEffect(() => scene.current?.update({ layout, topology: known, routes, scale }), [layout, known, routes]);

  const [hover, setHover] = useState<Hover>();
  const [current, setCurrent] = useState<string>();
  const first = layout.panels.keys().next().value;
  const tabStop = current !== undefined && layout.panels.has(current) ? current : first;
  const point = (id: string, event: PointerEvent): void => setHover({ id, worker: workerAt(layout, id, event) });
  const move = (event: KeyboardEvent): void => {
    const next = tabStop && neighbour(layout, tabStop, event.key);
    if (!next) return;
    event.preventDefault();
    setCurrent(next);
    ground.current?.querySelector<HTMLElement>(`[data-id="${CSS.escape(next)}"]`)?.focus();
  };

  return (
    <section class="picture" aria-label="The tiers">
      <div
        class={`ground ${layout.across ? 'is-across' : 'is-down'}`}
        ref={ground}
        style={{ height: `${layout.height}px` }}
        onKeyDown={move}
      >
        <canvas class="under" aria-hidden="true" />
        <TierTitles layout={layout} topology={known} rates={rates.value} />
        {layout.nodes.map(({ key, node, x, y, width }) => (
          <span
            key={key}
            class="node"
            style={{ left: `${x}px`, top: `${y}px`, maxWidth: `${width}px` }}
            aria-hidden="true"
          >
            {node}
          </span>
        ))}
        <div role="group" aria-label="Instances; the arrow keys move between them">
          {[...layout.panels.values()].map((panel) => {
            const view = known.instances[panel.id];
            return (
              view && (
                <PanelButton
                  key={panel.id}
                  panel={panel}
                  view={view}
                  perS={rates.value[panel.id] ?? 0}
                  tabStop={panel.id === tabStop}
                  onOpen={() => openInstance(panel.id)}
                  onFocus={() => (setCurrent(panel.id), setHover({ id: panel.id }))}
                  onPoint={(event) => point(panel.id, event)}
                  onLeave={() => setHover(undefined)}
                />
              )
            );
          })}
        </div>
        <canvas class="over" aria-hidden="true" />
        {hover && <Tip layout={layout} view={known.instances[hover.id]} worker={hover.worker} />}
      </div>
      <Legend />
    </section>
  );
}

function workerAt(layout: Layout, id: string, event: PointerEvent): number | undefined {
  const panel = layout.panels.get(id);
  const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
  return panel && markAt(panel, panel.x + event.clientX - box.left, panel.y + event.clientY - box.top);
}

/** The room there is, in pixels, and the size of the root font against the usual one. */
function useRoom(ground: { current: HTMLElement | null }) {
  const [room, setRoom] = useState({ width: 800, target: 440, scale: 1 });
  useEffect(() => {
    const measure = (): void => {
      const scale = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
      const target = Math.max(320 * scale, innerHeight * 0.62);
      setRoom({ width: ground.current?.clientWidth ?? 800, target, scale });
    };
    measure();
    const observer = new ResizeObserver(measure);
    if (ground.current) observer.observe(ground.current);
    return () => observer.disconnect();
  }, []);
  return room;
}

function useScene(ground: { current: HTMLElement | null }) {
  const scene = useRef<Scene>(null);
  const isDark = dark.value;
  useEffect(() => {
    const [under, over] = ground.current?.querySelectorAll('canvas') ?? [];
    if (!ground.current || !under || !over) return undefined;
    const made = new Scene(under, over);
    scene.current = made;
    const unwatch = watchEvents((events) => made.follow(events));
    const observer = new IntersectionObserver(([entry]) => made.show(entry?.isIntersecting ?? true));
    observer.observe(ground.current);
    return () => {
      unwatch();
      observer.disconnect();
      made.stop();
    };
  }, []);
  useEffect(() => scene.current?.recolour(), [isDark]);
  return scene;
}
