/** Draws what lies between the instances: links, flows and the dots on them. */
import { curveBetween, pointOn, type Curve, type Point } from './curve.ts';
import { LEG_MS, type Flight, type Stop } from './flights.ts';
import { markCentre, type Layout } from './layout.ts';
import type { Palette } from './palette.ts';
import type { Route } from './routes.ts';

/** Pixels that the stripes of a flow move in a second. */
const FLOW_SPEED = 60;

/** Draws the links as lines and, when `flowing`, the messages on them as bands whose width is their share. */
export function paintLinks(
  context: CanvasRenderingContext2D,
  layout: Layout,
  routes: readonly Route[],
  flowing: boolean,
  palette: Palette,
  scale: number,
  now: number,
): void {
  const total = Math.max(1, ...totals(layout, routes));
  const widest = Math.min(36, 5 * Math.log2(1 + total / 8)) * scale;
  // Many links are drawn lighter, or they would grow together.
  const lineAlpha = Math.max(0.25, Math.min(1, 24 / routes.length));
  for (const route of routes) {
    const from = layout.panels.get(route.from);
    const to = layout.panels.get(route.to);
    if (!from || !to) continue;
    const curve = curveBetween(from, to, layout.across);
    context.globalAlpha = route.up ? lineAlpha : lineAlpha * 0.8;
    context.strokeStyle = palette.line;
    context.lineWidth = scale;
    context.setLineDash(route.up ? [] : [4 * scale, 5 * scale]);
    stroke(context, curve);
    if (!flowing || route.perS === 0) continue;
    const width = Math.max(1.2 * scale, (widest * route.perS) / total);
    context.setLineDash([]);
    context.strokeStyle = palette.flow;
    context.globalAlpha = 0.34;
    context.lineWidth = width;
    stroke(context, curve);
    context.globalAlpha = 0.7;
    context.lineWidth = Math.min(width, 2 * scale);
    context.setLineDash([3 * scale, 15 * scale]);
    context.lineDashOffset = (-now / 1_000) * FLOW_SPEED * scale;
    stroke(context, curve);
  }
  context.globalAlpha = 1;
  context.setLineDash([]);
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
    const curve = from && to && legOf(layout, from, to);
    if (!curve) continue;
    const { x, y } = pointOn(curve, easeInOut(passed - leg));
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

function totals(layout: Layout, routes: readonly Route[]): number[] {
  const perTier = new Map<string, number>();
  for (const { to, perS } of routes) {
    const tier = layout.panels.get(to)?.tier ?? '';
    perTier.set(tier, (perTier.get(tier) ?? 0) + perS);
  }
  return [...perTier.values()];
}

function stroke(context: CanvasRenderingContext2D, [a, b, c, d]: Curve): void {
  context.beginPath();
  context.moveTo(a.x, a.y);
  context.bezierCurveTo(b.x, b.y, c.x, c.y, d.x, d.y);
  context.stroke();
}

const easeInOut = (t: number): number => (t < 0.5 ? 2 * t * t : 1 - 2 * (1 - t) ** 2);
