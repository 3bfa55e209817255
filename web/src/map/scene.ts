/** The three canvases of the picture: links beneath the panels; marks of the workers, and dots of messages, above them. */
import type { Event, InstanceView, Topology } from '../wire.ts';
import { Changes } from './changes.ts';
import { Flights, type Flight } from './flights.ts';
import { paintFlights, paintLinks } from './paint-links.ts';
import type { Layout } from './layout.ts';
import { paintWorkers } from './marks.ts';
import type { Palette } from './palette.ts';
import type { Rates } from './rates.ts';
import { flowsOf, type Route } from './routes.ts';

/** Messages a second above which single ones are no longer drawn, and below which they are again. */
const HEAVY = { above: 40, below: 25 };

/** Stripes move evenly at this pace already; more frames would only cost. */
const FLOW_FRAME_MS = 30;

/** Links are drawn again for other rates at this pace. */
const RATES_FRAME_MS = 500;

/** What the scene shows. */
export interface View {
  layout: Layout;
  topology: Topology;
  routes: readonly Route[];
  rates: Rates;
  scale: number;
  /** Pixels of the screen for each of the page's. */
  density: number;
  palette: Palette;
}

interface Canvases {
  links: HTMLCanvasElement;
  marks: HTMLCanvasElement;
  dots: HTMLCanvasElement;
}

/** Draws while something moves, and otherwise only what has changed. */
export class Scene {
  readonly #links: CanvasRenderingContext2D;
  readonly #marks: CanvasRenderingContext2D;
  readonly #dots: CanvasRenderingContext2D;
  readonly #now: () => number;
  readonly #flights = new Flights();
  readonly #changes = new Changes();
  readonly #stillness = matchMedia('(prefers-reduced-motion: reduce)');
  /** The instances as their marks are drawn. */
  readonly #drawn = new Map<string, InstanceView>();
  #view: View | undefined;
  #isHeavy = false;
  #isVisible = true;
  #frame = 0;
  #linksAreOld = false;
  #flowIsShown = false;
  #marksAreOld = false;
  #dotsAreDrawn = false;
  #linksDrawnAt = 0;

  /** `now` is the clock by which everything moves. */
  constructor({ links, marks, dots }: Canvases, now: () => number) {
    this.#links = contextOf(links);
    this.#marks = contextOf(marks);
    this.#dots = contextOf(dots);
    this.#now = now;
  }

  /** Shows another view. */
  update(view: View): void {
    const last = this.#view;
    this.#view = view;
    if (last?.layout !== view.layout || last.density !== view.density || last.palette !== view.palette) {
      if (sizeOf(last) !== sizeOf(view)) {
        for (const context of [this.#links, this.#marks, this.#dots]) resize(context, view);
      }
      this.#drawn.clear();
      this.#marks.clearRect(0, 0, view.layout.width, view.layout.height);
      this.#linksAreOld = true;
    }
    if (last?.routes !== view.routes) this.#linksAreOld = true;
    if (last?.topology !== view.topology) this.#changes.update(view.topology, this.#now());
    if (last?.rates !== view.rates || last.routes !== view.routes) this.#measure(view);
    this.#marksAreOld = true;
    this.#request();
  }

  /** Lets the messages of these events be seen on their way. */
  animate(events: readonly Event[]): void {
    if (!this.#view || this.#isHeavy || !this.#isVisible || document.hidden || this.#stillness.matches) return;
    this.#flights.animate(events, this.#view.topology, this.#now());
    this.#request();
  }

  /** Nothing is drawn while the picture is out of sight. */
  show(isVisible: boolean): void {
    this.#isVisible = isVisible;
    this.#request();
  }

  stop(): void {
    this.#isVisible = false;
    cancelAnimationFrame(this.#frame);
  }

  #measure({ topology, rates }: View): void {
    let load = 0;
    for (const id in rates) if (topology.instances[id]?.instance.tier === 'requester') load += rates[id] ?? 0;
    this.#isHeavy = load > (this.#isHeavy ? HEAVY.below : HEAVY.above);
  }

  #request(): void {
    if (this.#frame === 0 && this.#isVisible) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #draw(): void {
    this.#frame = 0;
    if (!this.#view) return;
    const now = this.#now();
    const isStill = this.#stillness.matches;
    const changing = this.#changes.active(now);
    const flights = this.#flights.at(now);
    const isFlowing = this.#drawLinks(this.#view, now, isStill);
    if (this.#marksAreOld || changing.size > 0) this.#drawMarks(this.#view, changing, now, isStill);
    if (flights.length > 0 || this.#dotsAreDrawn) this.#drawDots(this.#view, flights, now);
    if (isFlowing || changing.size > 0 || this.#dotsAreDrawn) this.#request();
  }

  /** Draws the links if that is due. True while messages flow over them. */
  #drawLinks({ layout, routes, rates, scale, palette }: View, now: number, isStill: boolean): boolean {
    const showsFlow = this.#isHeavy || isStill;
    const isFlowing = this.#isHeavy && !isStill;
    const pace = isFlowing ? FLOW_FRAME_MS : showsFlow ? RATES_FRAME_MS : Infinity;
    const isDue = this.#linksAreOld || this.#flowIsShown !== showsFlow || Math.abs(now - this.#linksDrawnAt) >= pace;
    if (!isDue) return isFlowing;
    this.#linksAreOld = false;
    this.#flowIsShown = showsFlow;
    this.#linksDrawnAt = now;
    this.#links.clearRect(0, 0, layout.width, layout.height);
    const flows = showsFlow ? flowsOf(routes, rates) : [];
    paintLinks(this.#links, layout, routes, flows, showsFlow, palette, scale, isStill ? 0 : now);
    return isFlowing;
  }

  /** Draws the marks of the instances that are not drawn as they are, or that change. */
  #drawMarks({ layout, topology, palette }: View, changing: ReadonlySet<string>, now: number, isStill: boolean): void {
    this.#marksAreOld = false;
    for (const panel of layout.panels.values()) {
      const view = topology.instances[panel.id];
      if (!view || (this.#drawn.get(panel.id) === view && !changing.has(panel.id))) continue;
      this.#drawn.set(panel.id, view);
      // Where motion is not wanted, a change is shown as if it had been a while ago.
      paintWorkers(this.#marks, panel, view.workers, this.#changes, palette, isStill ? Infinity : now);
    }
  }

  #drawDots({ layout, palette, scale }: View, flights: readonly Flight[], now: number): void {
    this.#dotsAreDrawn = flights.length > 0;
    this.#dots.clearRect(0, 0, layout.width, layout.height);
    paintFlights(this.#dots, layout, flights, palette, scale, now);
  }
}

function contextOf(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const context = canvas.getContext('2d');
  if (!context) throw new Error('this browser gives no canvas to draw on');
  return context;
}

const sizeOf = (view: View | undefined): string =>
  view ? `${view.layout.width} ${view.layout.height} ${view.density}` : '';

function resize(context: CanvasRenderingContext2D, { layout, density }: View): void {
  const { canvas } = context;
  canvas.width = Math.round(layout.width * density);
  canvas.height = Math.round(layout.height * density);
  canvas.style.width = `${layout.width}px`;
  canvas.style.height = `${layout.height}px`;
  context.scale(density, density);
}
