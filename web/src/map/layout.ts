/** Where everything in the picture of the tiers stands: tiers as columns, or as rows where there is no width. */
import { inNaturalOrder, TIERS } from '../domain/topology.ts';
import type { InstanceView, Tier } from '../wire.ts';

/** An instance's place. Marks stand in a grid of `columns`, each in a cell of `cell` pixels. */
export interface Panel {
  id: string;
  tier: Tier;
  x: number;
  y: number;
  width: number;
  height: number;
  /** False where there is no room for the name. */
  named: boolean;
  marks: { x: number; y: number; columns: number; cell: number };
}

/** The name of a node above its instances in a tier. */
export interface NodeLabel {
  key: string;
  node: string;
  x: number;
  y: number;
  width: number;
}

/** A tier's column, or its row. */
export interface TierBox {
  tier: Tier;
  x: number;
  y: number;
  width: number;
}

/** The whole picture. */
export interface Layout {
  across: boolean;
  width: number;
  height: number;
  tiers: TierBox[];
  nodes: NodeLabel[];
  panels: Map<string, Panel>;
}

const CELLS = [34, 30, 26, 22, 18, 15, 13, 11, 9, 8, 7, 6, 5];
const PER_ROW = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32];
const NAMED_WIDTH = 104;
const NARROW = 640;
const TITLE = 62;
const TITLE_DOWN = 44;
const NODE_TITLE = 18;
const NODE_GAP = 10;
const PANEL_GAP = 6;
const HEADER = 26;
/** Marks may always be so large, however many another tier has. */
const LEAST_LARGEST = 15;
/** Marks of this size and more show their shapes. */
const READABLE = 9;
/** What is given up first where there is no room: some height, then the shapes of the marks, then more height. */
const STEPS = [
  { stretch: 1, small: false },
  { stretch: 1.25, small: false },
  { stretch: 1.25, small: true },
  { stretch: 1.5, small: true },
  { stretch: 2, small: true },
];
const PAD = 8;
const TIER_GAP = 46;

/** Lays the instances out in `width` pixels and, if the marks can be made small enough, `target` pixels of height. */
export function layOut(instances: readonly InstanceView[], width: number, target: number, scale: number): Layout {
  const across = width >= NARROW;
  const byTier = TIERS.map((tier) => ({
    tier,
    nodes: byNode(instances.filter((view) => view.instance.tier === tier)),
  }));
  const layout: Layout = { across, width, height: 0, tiers: [], nodes: [], panels: new Map() };
  if (across) {
    const gap = Math.max(64 * scale, Math.min(150 * scale, width * 0.09));
    const weights = byTier.map(({ tier, nodes }) => weightOf(tier, workersIn(nodes)));
    const unit = (width - gap * (TIERS.length - 1)) / weights.reduce((sum, weight) => sum + weight, 0);
    const planned = (largest: number): Plan[] =>
      byTier.map(({ nodes }, place) =>
        plan(nodes, unit * (weights[place] ?? 1), target - TITLE * scale, scale, largest),
      );
    // A tier with few workers must not outshine one with many.
    const free = planned(Infinity).filter((tier) => workersIn(tier.nodes) > 0);
    const plans = planned(
      Math.max(LEAST_LARGEST * scale, ...[1.6 * Math.min(...free.map(({ cell }) => cell))].filter(Number.isFinite)),
    );
    const tallest = Math.max(200 * scale, ...plans.map((tier) => tier.height));
    let x = 0;
    byTier.forEach(({ tier }, place) => {
      const tierPlan = plans[place];
      const tierWidth = unit * (weights[place] ?? 1);
      if (tierPlan)
        put(layout, tier, tierPlan, x, 0, tierWidth, TITLE * scale + (tallest - tierPlan.height) / 2, scale);
      x += tierWidth + gap;
    });
    layout.height = tallest + TITLE * scale;
  } else {
    let y = 0;
    for (const { tier, nodes } of byTier) {
      const tierPlan = plan(nodes, width, target / 3, scale);
      put(layout, tier, tierPlan, 0, y, width, y + TITLE_DOWN * scale, scale);
      y += TITLE_DOWN * scale + tierPlan.height + TIER_GAP * scale;
    }
    layout.height = y - TIER_GAP * scale;
  }
  return layout;
}

/** The middle of a worker's mark. */
export function markCentre(panel: Panel, place: number): { x: number; y: number } {
  const { x, y, columns, cell } = panel.marks;
  return { x: x + ((place % columns) + 0.5) * cell, y: y + (Math.floor(place / columns) + 0.5) * cell };
}

/** Which of a panel's marks is at a point, as its place in the grid. */
export function markAt(panel: Panel, x: number, y: number): number | undefined {
  const { columns, cell, ...origin } = panel.marks;
  const column = Math.floor((x - origin.x) / cell);
  const row = Math.floor((y - origin.y) / cell);
  return column >= 0 && column < columns && row >= 0 ? row * columns + column : undefined;
}

type Nodes = { node: string; instances: InstanceView[] }[];

function byNode(instances: readonly InstanceView[]): Nodes {
  const nodes = new Map<string, InstanceView[]>();
  for (const view of instances) nodes.set(view.instance.node, [...(nodes.get(view.instance.node) ?? []), view]);
  const name = ({ instance }: InstanceView): string => `${instance.service}.${instance.slot ?? ''} ${instance.id}`;
  return [...nodes]
    .sort(([a], [b]) => inNaturalOrder(a, b))
    .map(([node, members]) => ({ node, instances: members.sort((a, b) => inNaturalOrder(name(a), name(b))) }));
}

/** The most workers that a setting allows for an instance; anybody may claim more. */
const MAX_PLACES = 10_000;

/** The places that an instance needs: its workers stand by their index, and one whose event was lost leaves a gap. */
export const placesOf = ({ workers }: InstanceView): number =>
  Math.min(MAX_PLACES, (workers.at(-1)?.index ?? -1) + 1);

const workersIn = (nodes: Nodes): number =>
  nodes.reduce((sum, node) => sum + node.instances.reduce((all, view) => all + placesOf(view), 0), 0);

/** Tiers with many workers get more of the width. */
function weightOf(tier: Tier, workers: number): number {
  if (tier === 'requester') return 1.1 + 0.5 * Math.min(1, workers / 60);
  if (tier === 'responder') return 1.2 + 1.8 * Math.min(1, workers / 150);
  return 1.1;
}

interface Plan {
  nodes: Nodes;
  cell: number;
  perRow: number;
  panelWidth: number;
  height: number;
}

/** The largest marks with which a tier fits; names are given up only after the marks are small. */
function plan(nodes: Nodes, width: number, target: number, scale: number, largest = Infinity): Plan {
  const most = Math.max(1, ...nodes.map((node) => node.instances.length));
  const rows = PER_ROW.filter((perRow) => perRow === 1 || perRow <= most);
  const of = (cell: number, perRow: number): Plan => {
    const gaps = (perRow - 1) * PANEL_GAP * scale;
    const panelWidth = (width - gaps) / perRow;
    const draft = { nodes, cell: cell * scale, perRow, panelWidth, height: 0 };
    return { ...draft, height: nodes.reduce((sum, node) => sum + nodeHeight(draft, node.instances, scale), 0) };
  };
  const candidates = CELLS.flatMap((cell) => rows.map((perRow) => of(cell, perRow))).filter(
    ({ panelWidth, cell }) => panelWidth >= cell + 2 * PAD * scale && cell <= largest,
  );
  for (const named of [true, false]) {
    const fitting = candidates.filter(({ panelWidth }) => isNamed(panelWidth, scale) === named);
    const readable = fitting.filter(({ cell }) => cell >= READABLE * scale);
    for (const { stretch, small } of STEPS) {
      const found = (small ? fitting : readable).find(({ height }) => height <= target * stretch);
      if (found) return found;
    }
  }
  return of(CELLS.at(-1) ?? 5, rows.at(-1) ?? 1);
}

const isNamed = (panelWidth: number, scale: number): boolean => panelWidth >= NAMED_WIDTH * scale;

const columnsIn = (tier: Plan, scale: number): number =>
  Math.max(1, Math.floor((tier.panelWidth - 2 * PAD * scale) / tier.cell));

function panelHeight(tier: Plan, view: InstanceView, scale: number): number {
  const rows = Math.ceil(placesOf(view) / columnsIn(tier, scale));
  const header = isNamed(tier.panelWidth, scale) ? HEADER : PAD;
  return (header + (rows > 0 ? PAD : 4)) * scale + rows * tier.cell;
}

function nodeHeight(tier: Plan, instances: InstanceView[], scale: number): number {
  let height = (NODE_TITLE + NODE_GAP) * scale;
  for (let first = 0; first < instances.length; first += tier.perRow) {
    const row = instances.slice(first, first + tier.perRow);
    height += Math.max(...row.map((view) => panelHeight(tier, view, scale))) + PANEL_GAP * scale;
  }
  return height;
}

function put(
  layout: Layout,
  tier: Tier,
  tierPlan: Plan,
  x: number,
  title: number,
  width: number,
  top: number,
  scale: number,
): void {
  layout.tiers.push({ tier, x, y: title, width });
  const columns = columnsIn(tierPlan, scale);
  const named = isNamed(tierPlan.panelWidth, scale);
  let y = top;
  for (const { node, instances } of tierPlan.nodes) {
    layout.nodes.push({ key: `${tier}/${node}`, node, x, y, width });
    let rowTop = y + NODE_TITLE * scale;
    for (let first = 0; first < instances.length; first += tierPlan.perRow) {
      const row = instances.slice(first, first + tierPlan.perRow);
      const height = Math.max(...row.map((view) => panelHeight(tierPlan, view, scale)));
      row.forEach((view, place) => {
        const left = x + place * (tierPlan.panelWidth + PANEL_GAP * scale);
        const marks = {
          x: left + PAD * scale,
          y: rowTop + (named ? HEADER : PAD) * scale,
          columns,
          cell: tierPlan.cell,
        };
        const { id } = view.instance;
        layout.panels.set(id, { id, tier, x: left, y: rowTop, width: tierPlan.panelWidth, height, named, marks });
      });
      rowTop += height + PANEL_GAP * scale;
    }
    y += nodeHeight(tierPlan, instances, scale);
  }
}
