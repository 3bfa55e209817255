/** Draws what is between the instances: links, flows and the dots on them. */
import { curve, curveBetween, pointOn, side, type Curve, type Point } from './curve.ts';
import { LEG_MS, type Flight, type Stop } from './flights.ts';
import { markCentre, type Layout } from './layout.ts';
import type { Palette } from './palette.ts';
import type { Hub, Route } from './routes.ts';

/** Pixels that the stripes of a flow move in a second. */
const FLOW_SPEED = 60;

/** Draws the links as lines and, when `flowing`, the messages on them as bands whose width is their share. */
export function paintLinks(
  context: CanvasRenderingContext2D,
  layout: Layout,
  routes: readonly Route[],
  /** Messages a second over each route. */
  flows: readonly number[],
  flowing: boolean,
  palette: Palette,
  scale: number,
  now: number,
): void {
  const total = Math.max(1, ...totals(layout, routes, flows));
  const widest = Math.min(36, 5 * Math.log2(1 + total / 8)) * scale;
  // Many links are drawn lighter, or they would grow together.
  const lineAlpha = Math.max(0.25, Math.min(1, 24 / routes.length));
  routes.forEach((route, place) => {
    const line = curveOf(layout, route);
    if (!line) return;
    const perS = flows[place] ?? 0;
    context.globalAlpha = route.up ? lineAlpha : lineAlpha * 0.8;
    context.strokeStyle = palette.line;
    context.lineWidth = scale;
    context.setLineDash(route.up ? [] : [4 * scale, 5 * scale]);
    stroke(context, line);
    if (!flowing || perS === 0) return;
    const width = Math.max(1.2 * scale, (widest * perS) / total);
    context.setLineDash([]);
    context.strokeStyle = palette.flow;
    context.globalAlpha = 0.34;
    context.lineWidth = width;
    stroke(context, line);
    context.globalAlpha = 0.7;
    context.lineWidth = Math.min(width, 2 * scale);
    context.setLineDash([3 * scale, 15 * scale]);
    context.lineDashOffset = (-now / 1_000) * FLOW_SPEED * scale;
    stroke(context, line);
  });
  context.globalAlpha = 1;
  context.setLineDash([]);
}

function curveOf(layout: Layout, { from, to }: Route): Curve | undefined {
  const end = (one: string | Hub, isFar: boolean): Point | undefined => {
    if (typeof one !== 'string') return hubPoint(layout, one);
    const panel = layout.panels.get(one);
    return panel && side(panel, layout.across, isFar);
  };
  const [start, goal] = [end(from, true), end(to, false)];
  return start && goal && curve(start, goal, layout.across);
}

function hubPoint({ tiers, across, width, height }: Layout, { before, after }: Hub): Point | undefined {
  const [one, other] = [tiers.find(({ tier }) => tier === before), tiers.find(({ tier }) => tier === after)];
  if (!one || !other) return undefined;
  // Rows have their headings between them: the hub is just above the next one.
  return across ? { x: (one.x + one.width + other.x) / 2, y: height / 2 } : { x: width / 2, y: other.y };
}

/** Draws the dots: round on the way there and for a response, a square for an error, a ring for a timeout. */
export function paintFlights(
  context: CanvasRenderingContext2D,
  layout: Layout,
  flights: readonly Flight[],
  palette: Palette,
  scale: number,
  now: number,
): void {
  for (const { stops, start, kind } of flights) {
    const passed = Math.max(0, now - start) / LEG_MS;
    const leg = Math.floor(passed);
    const [from, to] = [stops[leg], stops[leg + 1]];
    const path = from && to && legOf(layout, from, to);
    if (!path) continue;
    const { x, y } = pointOn(path, easeInOut(passed - leg));
    const radius = 3.6 * scale;
    context.beginPath();
    context.fillStyle = context.strokeStyle = palette[kind];
    if (kind === 'error') context.rect(x - radius, y - radius, 2 * radius, 2 * radius);
    else context.arc(x, y, radius, 0, 2 * Math.PI);
    context.lineWidth = 2 * scale;
    if (kind === 'timeout') {
      context.stroke();
    } else {
      // A rim in the ground's colour keeps the dot apart from what it passes over.
      context.fill();
      context.strokeStyle = palette.surface;
      context.lineWidth = 1.2 * scale;
      context.stroke();
    }
  }
}

function legOf(layout: Layout, from: Stop, to: Stop): Curve | undefined {
  const [source, target] = [layout.panels.get(from.id), layout.panels.get(to.id)];
  if (!source || !target) return undefined;
  const place = (stop: Stop): Point | undefined => {
    const panel = layout.panels.get(stop.id);
    return panel && stop.worker !== undefined ? markCentre(panel, stop.worker) : undefined;
  };
  return curveBetween(source, target, layout.across, place(from), place(to));
}

/** Messages a second into each tier. */
function totals(layout: Layout, routes: readonly Route[], flows: readonly number[]): number[] {
  const perTier = new Map<string, number>();
  routes.forEach(({ to }, place) => {
    if (typeof to !== 'string') return;
    const tier = layout.panels.get(to)?.tier ?? '';
    perTier.set(tier, (perTier.get(tier) ?? 0) + (flows[place] ?? 0));
  });
  return [...perTier.values()];
}

function stroke(context: CanvasRenderingContext2D, [a, b, c, d]: Curve): void {
  context.beginPath();
  context.moveTo(a.x, a.y);
  context.bezierCurveTo(b.x, b.y, c.x, c.y, d.x, d.y);
  context.stroke();
}

const easeInOut = (t: number): number => (t < 0.5 ? 2 * t * t : 1 - 2 * (1 - t) ** 2);
