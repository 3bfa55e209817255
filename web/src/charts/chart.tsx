/** A chart over the last minutes: uPlot, the theme's colours, and the figures in words beside it. */
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { time } from '../ui/format.ts';
import { coloursOf, dark } from '../ui/theme.ts';

/** One curve. Dashes tell the curves apart where colours do not. */
export interface Curve {
  label: string;
  /** Name of a colour of the theme. */
  colour: string;
  dash?: number[];
  values: (number | null)[];
}

/** A range of the vertical axis that is drawn behind the curves. */
export interface Band {
  label: string;
  low: number;
  high: number;
}

interface Props {
  title: string;
  /** Writes a value with its unit. */
  format: (value: number) => string;
  times: number[];
  curves: Curve[];
  band?: Band | undefined;
  small?: boolean | undefined;
  /** What is counted has no fractions, so the axis has none. */
  whole?: boolean;
}

/** Seconds without a value that a curve spans; over more of them a line would say what nobody measured. */
const SPANNED_S = 5;

/** Steps of an axis without fractions. */
const WHOLE_STEPS = [0, 1, 2, 3, 4, 5, 6].flatMap((power) => [1, 2, 5].map((step) => step * 10 ** power));

/** The chart as a figure with its caption. */
export function Chart({ title, format, times, curves, band, small = false, whole = false }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const shown = useRef<{ band: Band | undefined; format: Props['format'] }>({ band, format });
  shown.current = { band, format };
  const [pointed, setPointed] = useState<number>();
  const isDark = dark.value;
  const data = [times, ...curves.map((curve) => curve.values)] as uPlot.AlignedData;
  const look = curves.map(({ label, colour }) => `${label} ${colour}`).join();

  useEffect(() => {
    const host = place.current;
    if (!host) return undefined;
    const height = (): number => host.clientHeight;
    const made = new uPlot(optionsOf(host, curves, shown, small, whole, setPointed), data, host);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: host.clientWidth, height: height() }));
    observer.observe(host);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, [isDark, look, small]);
  useEffect(() => plot.current?.setData(data), [times]);

  const isEmpty = curves.every(({ values }) => values.every((value) => value === null));
  const at = pointed ?? times.length - 1;
  return (
    <figure class={small ? 'chart is-small' : 'chart'}>
      <figcaption>
        <h2>{title}</h2>
        <ul>
          {curves.map(({ label, colour, dash, values }) => (
            <li key={label}>
              <svg class="curve-key" viewBox="0 0 18 6" aria-hidden="true">
                <line
                  x1="0"
                  y1="3"
                  x2="18"
                  y2="3"
                  stroke={`var(--${colour})`}
                  stroke-width="2"
                  stroke-dasharray={dash?.join(' ')}
                />
              </svg>
              {label} <b>{say(values[at], format)}</b>
            </li>
          ))}
          {band && (
            <li>
              <i class="band-key" aria-hidden="true" />
              {band.label}{' '}
              <b>{band.low === band.high ? format(band.low) : `${format(band.low)}–${format(band.high)}`}</b>
            </li>
          )}
        </ul>
      </figcaption>
      <div class="plot" aria-hidden="true">
        <div ref={place} />
        {isEmpty && <p class="plot-empty">No message has ended yet</p>}
      </div>
    </figure>
  );
}

const say = (value: number | null | undefined, format: Props['format']): string =>
  value == null ? '–' : format(value);

function optionsOf(
  host: HTMLElement,
  curves: Curve[],
  shown: { current: { band: Band | undefined; format: Props['format'] } },
  small: boolean,
  whole: boolean,
  onPoint: (at: number | undefined) => void,
): uPlot.Options {
  const colours = coloursOf(['muted', 'grid', 'band', 'band-edge', ...curves.map((curve) => curve.colour)]);
  const colour = (name: string): string => colours[name] ?? '';
  const size = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
  const axis = {
    stroke: colour('muted'),
    font: `${11 * size}px system-ui, sans-serif`,
    grid: { stroke: colour('grid'), width: 1 },
    ticks: { show: false },
  };
  return {
    width: host.clientWidth,
    height: host.clientHeight,
    legend: { show: false },
    cursor: { sync: { key: 'time' }, drag: { x: false, y: false }, points: { size: 7 } },
    padding: [8, 26, 0, 0],
    scales: { y: { range: (_plot, _low, high) => [0, top(high, shown.current.band)] } },
    axes: [
      { ...axis, space: 60 * size, size: 24 * size, values: (_plot, ticks) => ticks.map((seconds) => time(seconds * 1_000)) },
      {
        ...axis,
        space: (small ? 28 : 36) * size,
        size: 58 * size,
        ...(whole && { incrs: WHOLE_STEPS }),
        values: (_plot, ticks) => ticks.map((tick) => shown.current.format(tick)),
      },
    ],
    series: [
      {},
      ...curves.map(({ label, colour: name, dash }) => ({
        label,
        stroke: colour(name),
        width: 1.6 * size,
        ...(dash && { dash: dash.map((length) => length * size) }),
        gaps: longGaps,
        points: { show: true, size: 3 * size, width: 0, fill: colour(name), filter: lonely },
      })),
    ],
    hooks: {
      drawClear: [(plot) => drawBand(plot, shown.current.band, colour('band'), colour('band-edge'))],
      setCursor: [(plot) => onPoint(plot.cursor.idx ?? undefined)],
    },
  };
}

/** Room for the curves and the band, but no curve flattened by a band far above it. `high` is null without a value. */
function top(high: number | null, band: Band | undefined): number {
  const reach = band && (!high || band.high < high * 6) ? band.high : 0;
  return Math.max(high ?? 0, reach, high || reach ? 0 : 1) * 1.12;
}

function drawBand(plot: uPlot, band: Band | undefined, fill: string, edge: string): void {
  if (!band) return;
  const { left, width, top: above, height } = plot.bbox;
  const y = (value: number): number => Math.max(above, Math.min(above + height, plot.valToPos(value, 'y', true)));
  const [high, low] = [y(band.high), y(band.low)];
  plot.ctx.fillStyle = fill;
  plot.ctx.fillRect(left, high, width, low - high);
  plot.ctx.fillStyle = edge;
  for (const line of [high, low]) if (line > above) plot.ctx.fillRect(left, line - 1, width, 1.5);
}

const pixelsOf = (plot: uPlot, seconds: number): number =>
  (plot.bbox.width * seconds) / Math.max(1, (plot.scales['x']?.max ?? 0) - (plot.scales['x']?.min ?? 0));

const longGaps: uPlot.Series.GapsRefiner = (plot, _series, _first, _last, gaps) =>
  gaps.filter(([from, to]) => to - from > pixelsOf(plot, SPANNED_S));

/** The values that no line reaches, and that only a point can show. */
function lonely(plot: uPlot, series: number): number[] {
  const values: readonly (number | null | undefined)[] = Array.from(plot.data[series] ?? []);
  const near = (at: number, step: -1 | 1): boolean => {
    for (let by = 1; by <= SPANNED_S; by += 1) if (values[at + by * step] != null) return true;
    return false;
  };
  return values.flatMap((value, at) => (value != null && !near(at, -1) && !near(at, 1) ? [at] : []));
}
