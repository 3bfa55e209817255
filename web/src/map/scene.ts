/** The two canvases of the picture and their clock: links beneath the panels, marks and dots above them. */
import type { Event, Topology } from '../wire.ts';
import { Changes } from './changes.ts';
import { Flights, type Flight } from './flights.ts';
import { paintFlights, paintLinks } from './links.ts';
import type { Layout } from './layout.ts';
import { paintMarks } from './marks.ts';
import { readPalette } from './palette.ts';
import type { Route } from './routes.ts';

/** Messages a second above which single ones are no longer drawn, and below which they are again. */
const HEAVY = { above: 40, below: 25 };

/** Stripes move evenly at this pace already; more frames would only cost. */
const FLOW_FRAME_MS = 30;

/** What the scene shows. */
export interface View {
  layout: Layout;
  topology: Topology;
  routes: readonly Route[];
  scale: number;
}

/** Draws while something moves, and otherwise only when the view changes. */
export class Scene {
  readonly #under: CanvasRenderingContext2D;
  readonly #over: CanvasRenderingContext2D;
  readonly #flights = new Flights();
  readonly #changes = new Changes();
  readonly #stillness = matchMedia('(prefers-reduced-motion: reduce)');
  #palette = readPalette();
  #view: View | undefined;
  #heavy = false;
  #visible = true;
  #frame = 0;
  /** The view changed since it was drawn. */
  #fresh = false;
  /** There were dots in the last frame, so that the next must at least wipe them away. */
  #flew = false;
  #flowedAt = 0;

  constructor(under: HTMLCanvasElement, over: HTMLCanvasElement) {
    this.#under = contextOf(under);
    this.#over = contextOf(over);
  }

  /** Shows another view. */
  update(view: View): void {
    const size = `${view.layout.width}x${view.layout.height}`;
    const last = this.#view && `${this.#view.layout.width}x${this.#view.layout.height}`;
    this.#view = view;
    if (size !== last) [this.#under, this.#over].forEach((context) => resize(context, view.layout));
    this.#changes.update(view.topology, performance.now());
    const load = view.routes.reduce((sum, { perS }) => sum + perS, 0) / 3;
    this.#heavy = load > (this.#heavy ? HEAVY.below : HEAVY.above);
    this.#fresh = true;
    this.#request();
  }

  /** Lets the messages of these events be seen on their way. */
  follow(events: readonly Event[]): void {
    if (!this.#view || this.#heavy || !this.#visible || document.hidden || this.#stillness.matches) return;
    this.#flights.follow(events, this.#view.topology, performance.now());
    this.#request();
  }

  /** The theme changed. */
  recolour(): void {
    this.#palette = readPalette();
    this.#fresh = true;
    this.#request();
  }

  /** Nothing is drawn while the picture is out of sight. */
  show(visible: boolean): void {
    this.#visible = visible;
    this.#request();
  }

  stop(): void {
    this.#visible = false;
    cancelAnimationFrame(this.#frame);
  }

  #request(): void {
    if (this.#frame === 0 && this.#visible) this.#frame = requestAnimationFrame((now) => this.#draw(now));
  }

  #draw(now: number): void {
    this.#frame = 0;
    if (!this.#view) return;
    const still = this.#stillness.matches;
    const flowing = this.#heavy && !still && this.#view.routes.some(({ perS }) => perS > 0);
    const flights = this.#flights.at(now);
    const changing = this.#changes.active(now);
    // Each canvas is drawn only when something on it is different: in heavy flow the marks are not, from frame to frame.
    if (this.#fresh || (flowing && now - this.#flowedAt >= FLOW_FRAME_MS)) this.#drawUnder(this.#view, now, still);
    if (this.#fresh || changing || flights.length > 0 || this.#flew) this.#drawOver(this.#view, flights, now, still);
    this.#fresh = false;
    this.#flew = flights.length > 0;
    if (flowing || changing || this.#flew) this.#request();
  }

  #drawUnder({ layout, routes, scale }: View, now: number, still: boolean): void {
    this.#flowedAt = now;
    this.#under.clearRect(0, 0, layout.width, layout.height);
    paintLinks(this.#under, layout, routes, this.#heavy || still, this.#palette, scale, still ? 0 : now);
  }

  #drawOver({ layout, topology, scale }: View, flights: readonly Flight[], now: number, still: boolean): void {
    this.#over.clearRect(0, 0, layout.width, layout.height);
    // Where motion is not wanted, a change is shown as if it had been a while ago.
    paintMarks(this.#over, layout, topology, this.#changes, this.#palette, still ? Infinity : now);
    paintFlights(this.#over, layout, flights, this.#palette, scale, now);
  }
}

function contextOf(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const context = canvas.getContext('2d');
  if (!context) throw new Error('this browser gives no canvas to draw on');
  return context;
}

function resize(context: CanvasRenderingContext2D, layout: Layout): void {
  const { canvas } = context;
  const density = Math.min(2, devicePixelRatio);
  canvas.width = Math.round(layout.width * density);
  canvas.height = Math.round(layout.height * density);
  canvas.style.width = `${layout.width}px`;
  canvas.style.height = `${layout.height}px`;
  context.scale(density, density);
}
