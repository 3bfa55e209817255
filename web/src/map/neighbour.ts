/** Moving between the instances with the arrow keys. */
import type { Layout, Panel } from './layout.ts';

const DIRECTIONS: Record<string, { x: number; y: number }> = {
  ArrowLeft: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  ArrowUp: { x: 0, y: -1 },
  ArrowDown: { x: 0, y: 1 },
};

/** The nearest panel in the direction of an arrow key; none for other keys or at the edge. */
export function neighbour(layout: Layout, id: string, key: string): string | undefined {
  const direction = DIRECTIONS[key];
  const from = layout.panels.get(id);
  if (!direction || !from) return undefined;
  let best: { id: string; distance: number } | undefined;
  for (const panel of layout.panels.values()) {
    const [x, y] = [middle(panel).x - middle(from).x, middle(panel).y - middle(from).y];
    const ahead = x * direction.x + y * direction.y;
    const aside = Math.abs(x * direction.y) + Math.abs(y * direction.x);
    const distance = ahead + 2 * aside;
    if (ahead > 1 && (!best || distance < best.distance)) best = { id: panel.id, distance };
  }
  return best?.id;
}

const middle = (panel: Panel) => ({ x: panel.x + panel.width / 2, y: panel.y + panel.height / 2 });
