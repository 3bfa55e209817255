/** The curves between panels, and points along them. */
import type { Panel } from './layout.ts';

export interface Point {
  x: number;
  y: number;
}

/** A cubic curve: start, two handles, end. */
export type Curve = readonly [Point, Point, Point, Point];

/** From the side of one panel to the facing side of the next, or from points within them. */
export function curveBetween(from: Panel, to: Panel, across: boolean, start?: Point, end?: Point): Curve {
  // A message on its way back runs the same link the other way.
  const isBack = across ? to.x < from.x : to.y < from.y;
  return curve(start ?? side(from, across, !isBack), end ?? side(to, across, isBack), across);
}

/** From one point to another, leaving and arriving in the direction of the tiers. */
export function curve(a: Point, b: Point, across: boolean): Curve {
  const bend = across ? (b.x - a.x) * 0.5 : (b.y - a.y) * 0.5;
  return across
    ? [a, { x: a.x + bend, y: a.y }, { x: b.x - bend, y: b.y }, b]
    : [a, { x: a.x, y: a.y + bend }, { x: b.x, y: b.y - bend }, b];
}

/** The middle of a panel's side: the one towards the next tier, or the one towards the tier before. */
export function side(panel: Panel, across: boolean, isFar: boolean): Point {
  return across
    ? { x: panel.x + (isFar ? panel.width : 0), y: panel.y + panel.height / 2 }
    : { x: panel.x + panel.width / 2, y: panel.y + (isFar ? panel.height : 0) };
}

/** The point at a share (0 to 1) of the curve. */
export function pointOn([a, b, c, d]: Curve, t: number): Point {
  const s = 1 - t;
  const [p, q, r, u] = [s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t];
  return { x: p * a.x + q * b.x + r * c.x + u * d.x, y: p * a.y + q * b.y + r * c.y + u * d.y };
}
