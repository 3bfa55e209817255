/** Ratios around 1, as a chart of rows. */
import type { ComponentChildren } from 'preact';
import { METRICS, times, valueOf, verdict } from './metrics.ts';
import { Dot, RowChart } from './rows.tsx';
import { symmetric } from './scale.ts';
import type { Metric, Ratio } from '../wire.ts';

type Ratios = Partial<Record<Metric, Ratio>>;

interface Props {
  title: string;
  note: ComponentChildren;
  /** What a row is. */
  what?: string | undefined;
  metrics: Metric[];
  rows: { name: string; ratios: Ratios }[];
}

/** A column for each metric, with an axis of its own; better and worse where the difference is clear. */
export function RatioChart({ title, note, what, metrics, rows }: Props) {
  const columns = metrics.map((metric) => {
    const ends = rows.flatMap(({ ratios }) => ratios[metric] ?? []).flatMap(({ low, high }) => [low, high]);
    const positive = ends.filter((end) => end > 0);
    const scale = symmetric(Math.max(1.25, ...positive, ...positive.map((end) => 1 / end)));
    return { metric, title: METRICS[metric].label, say: times, scale };
  });
  return (
    <RowChart
      title={title}
      note={note}
      what={what}
      columns={columns}
      rows={rows.map(({ name, ratios }) => ({
        name,
        cells: columns.map(({ metric, scale }) => {
          const ratio = ratios[metric];
          return (
            <Dot
              scale={scale}
              value={ratio && valueOf(ratio)}
              low={ratio?.low}
              high={ratio?.high}
              line={1}
              text={ratio ? times(valueOf(ratio)) : '–'}
              tone={ratio ? verdict(metric, ratio) : 'same'}
            />
          );
        }),
      }))}
    />
  );
}

/** Those of the metrics for which there is any ratio. */
export const compared = (metrics: Metric[], all: { ratios: Ratios }[]): Metric[] =>
  metrics.filter((metric) => all.some(({ ratios }) => ratios[metric]));
