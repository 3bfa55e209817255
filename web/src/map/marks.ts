/** Draws the workers: a mark each, told apart by shape as well as by colour. */
import type { WorkerState, WorkerView } from '../wire.ts';
import { CHANGE_MS, type Changes } from './changes.ts';
import { markCentre, type Panel } from './layout.ts';
import type { Palette } from './palette.ts';

/** Below this cell size a mark is too small for an outline. */
const TINY = 9;

/** Draws the workers of one instance, and those that just left it, within its panel. */
export function paintWorkers(
  context: CanvasRenderingContext2D,
  panel: Panel,
  workers: readonly WorkerView[],
  changes: Changes,
  palette: Palette,
  now: number,
): void {
  context.clearRect(panel.x, panel.y, panel.width, panel.height);
  const isChanging = changes.touches(panel.id);
  if (isChanging) {
    // What grows around a mark stays off the neighbours.
    context.save();
    context.beginPath();
    context.rect(panel.x, panel.y, panel.width, panel.height);
    context.clip();
  }
  for (const { index, state } of workers) {
    const arrived = isChanging ? changes.arrived(panel.id, index, now) : 1;
    const { x, y } = markCentre(panel, index);
    paintMark(context, state, x, y, panel.marks.cell * 0.74 * ease(arrived), palette);
    if (arrived < 1) ring(context, x, y, panel.marks.cell * (0.5 + 0.5 * arrived), palette.busy, 1 - arrived);
  }
  if (!isChanging) return;
  for (const { id, place, at } of changes.departures) {
    if (id === panel.id) leave(context, panel, place, Math.max(0, 1 - (now - at) / CHANGE_MS), palette);
  }
  context.restore();
}

/** Draws one mark around a point; the legend uses it too. */
export function paintMark(
  context: CanvasRenderingContext2D,
  state: WorkerState,
  x: number,
  y: number,
  size: number,
  palette: Palette,
): void {
  const half = size / 2;
  const tiny = size < TINY * 0.74;
  context.lineWidth = Math.max(1, size * 0.11);
  switch (state) {
    case 'busy':
      context.fillStyle = palette.busy;
      fillBox(context, x, y, half, tiny);
      break;
    case 'idle':
    case 'starting':
      context.strokeStyle = context.fillStyle = palette.idle;
      if (tiny) {
        fillBox(context, x, y, half * 0.62, tiny);
      } else {
        box(context, x, y, half - context.lineWidth / 2);
        context.stroke();
        if (state === 'starting') context.fillRect(x - size * 0.1, y - size * 0.1, size * 0.2, size * 0.2);
      }
      break;
    case 'draining':
      context.fillStyle = palette.idle;
      context.fillRect(x - half, y, size, half);
      break;
    case 'restarting':
      context.fillStyle = palette.restarting;
      context.beginPath();
      context.moveTo(x, y - half * 1.15);
      context.lineTo(x + half * 1.15, y);
      context.lineTo(x, y + half * 1.15);
      context.lineTo(x - half * 1.15, y);
      context.closePath();
      context.fill();
      break;
    case 'gone':
      context.strokeStyle = palette.gone;
      context.beginPath();
      context.moveTo(x - half * 0.7, y - half * 0.7);
      context.lineTo(x + half * 0.7, y + half * 0.7);
      context.moveTo(x + half * 0.7, y - half * 0.7);
      context.lineTo(x - half * 0.7, y + half * 0.7);
      context.stroke();
      break;
  }
}

function leave(context: CanvasRenderingContext2D, panel: Panel, place: number, left: number, palette: Palette): void {
  const { x, y } = markCentre(panel, place);
  context.globalAlpha = left;
  paintMark(context, 'gone', x, y, panel.marks.cell * 0.74, palette);
  ring(context, x, y, panel.marks.cell * (1 - 0.4 * left), palette.gone, left);
}

function box(context: CanvasRenderingContext2D, x: number, y: number, half: number): void {
  context.beginPath();
  context.roundRect(x - half, y - half, 2 * half, 2 * half, half * 0.3);
}

function fillBox(context: CanvasRenderingContext2D, x: number, y: number, half: number, tiny: boolean): void {
  // Of tiny marks there are thousands, and nobody sees their corners.
  if (tiny) return context.fillRect(x - half, y - half, 2 * half, 2 * half);
  box(context, x, y, half);
  context.fill();
}

function ring(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  radius: number,
  colour: string,
  alpha: number,
): void {
  context.globalAlpha = alpha;
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.stroke();
  context.globalAlpha = 1;
}

const ease = (share: number): number => 1 - (1 - Math.min(1, share * 2)) ** 3;
