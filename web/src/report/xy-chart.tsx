/** Curves over an axis, drawn as SVG: sharp in print, in the colours of whichever theme the page has. */
import {
  line,
  symbol,
  symbolCircle,
  symbolCross,
  symbolDiamond,
  symbolDiamond2,
  symbolSquare,
  symbolStar,
  symbolTriangle,
  symbolWye,
  type SymbolType,
} from 'd3-shape';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';
import { roomy, roundly, type Scale } from './scale.ts';

export interface XyPoint {
  x: number;
  y: number;
  /** Of an interval; drawn where it can be seen. */
  low?: number;
  high?: number;
  /** Of single trials, drawn faintly. */
  values?: number[];
  /** What is said of it when it is pointed at. */
  said?: string;
}

export interface XySeries {
  label: string;
  points: XyPoint[];
  /** What was expected at the same places: a thin dashed line. */
  expected?: { x: number; y: number }[];
  /** Without marks: a line only. */
  bare?: boolean;
}

export interface XyMark {
  x: number;
  label: string;
}

interface Props {
  title: string;
  note?: ComponentChildren;
  series: XySeries[];
  xTitle: string;
  x: Scale;
  sayX: (value: number) => string;
  y: Scale;
  sayY: (value: number) => string;
  marks?: XyMark[];
}

const HEIGHT = 250;
const TOP = 12;
const BOTTOM = 40;
const LEFT = 58;
const RIGHT = 16;
/** Of a mark, in square pixels. */
const AREA = 46;
/** Of a tick's text, the widest a character gets. */
const CHARACTER = 7;

/** A series has a colour, dashes and a mark of its own, so that it is known without colours too. */
const LOOKS = [
  { colour: 'response', dash: '', mark: symbolCircle },
  { colour: 'curve-3', dash: '7 3', mark: symbolSquare },
  { colour: 'curve-2', dash: '2 3', mark: symbolTriangle },
  { colour: 'timeout', dash: '9 3 2 3', mark: symbolDiamond },
  { colour: 'error', dash: '5 2', mark: symbolCross },
  { colour: 'message', dash: '1 3', mark: symbolStar },
  { colour: 'good', dash: '12 3', mark: symbolWye },
  { colour: 'edge-strong', dash: '3 2', mark: symbolDiamond2 },
] as const;

const look = (index: number): (typeof LOOKS)[number] => LOOKS[index % LOOKS.length] ?? LOOKS[0];

/** The width of an element, as it changes. */
export function useWidth(initial: number) {
  const place = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(initial);
  useEffect(() => {
    const host = place.current;
    if (!host) return undefined;
    const read = (): void => {
      if (host.clientWidth > 0) setWidth(host.clientWidth);
    };
    read();
    const observer = new ResizeObserver(read);
    observer.observe(host);
    return () => observer.disconnect();
  }, []);
  return { place, width };
}

/** A chart as a figure, with a legend above it. The figures themselves are in the tables. */
export function XyChart(props: Props) {
  const { title, note, series, x, y, xTitle, sayX, sayY, marks = [] } = props;
  const { place, width } = useWidth(520);
  const [inner, tall] = [Math.max(80, width - LEFT - RIGHT), HEIGHT - TOP - BOTTOM];
  const px = (value: number): number => LEFT + x.at(value) * inner;
  const py = (value: number): number => TOP + (1 - Math.max(0, Math.min(1.02, y.at(value)))) * tall;
  const curve = line<{ x: number; y: number }>((point) => px(point.x), (point) => py(point.y)).digits(1);
  const path = (points: { x: number; y: number }[]): string => curve(points) ?? '';
  const widest = Math.max(...x.ticks.map((tick) => sayX(tick).length)) * CHARACTER;
  const hasExpected = series.some(({ expected }) => expected && expected.length > 0);
  return (
    <figure class="xy">
      <figcaption>
        <h3>{title}</h3>
        <ul class="legend">
          {series.length > 1 &&
            series.map(({ label, bare }, index) => (
              <li key={label}>
                <svg viewBox="0 0 26 10" aria-hidden="true" class={`is-${look(index).colour}`}>
                  <path d="M0 5H26" stroke-dasharray={look(index).dash} />
                  {!bare && <Mark at={[13, 5]} shape={look(index).mark} />}
                </svg>
                {label}
              </li>
            ))}
          {hasExpected && (
            <li>
              <svg viewBox="0 0 26 10" aria-hidden="true" class="is-expected">
                <path d="M0 5H26" />
              </svg>
              expected
            </li>
          )}
        </ul>
        {note && <p class="hint">{note}</p>}
      </figcaption>
      <div ref={place} class="xy-place">
        <svg
          viewBox={`0 0 ${width} ${HEIGHT}`}
          role="img"
          aria-label={`${title}; the figures are in the tables of this report`}
        >
          {roomy(y, tall, 20).map((tick) => (
            <g key={tick} class="grid">
              <path d={`M${LEFT} ${py(tick)}H${LEFT + inner}`} />
              <text x={LEFT - 7} y={py(tick) + 4} text-anchor="end">
                {roundly(sayY(tick))}
              </text>
            </g>
          ))}
          {roomy(x, inner, widest + 8).map((tick) => (
            <g key={tick} class="grid">
              <path d={`M${px(tick)} ${TOP + tall}v4`} />
              <text x={px(tick)} y={TOP + tall + 17} text-anchor="middle">
                {sayX(tick)}
              </text>
            </g>
          ))}
          <path class="floor" d={`M${LEFT} ${TOP + tall}H${LEFT + inner}`} />
          <text class="axis-title" x={LEFT + inner / 2} y={HEIGHT - 5} text-anchor="middle">
            {xTitle}
          </text>
          {marks.map((mark, index) => {
            const isRight = x.at(mark.x) > 0.6;
            return (
              <g key={mark.label} class="mark-line">
                <path d={`M${px(mark.x)} ${TOP}v${tall}`} />
                <text x={px(mark.x) + (isRight ? -6 : 6)} y={TOP + 10 + index * 14} text-anchor={isRight ? 'end' : 'start'}>
                  {mark.label}
                </text>
              </g>
            );
          })}
          {series.map(({ label, expected = [] }, index) => (
            <path
              key={label}
              class={`expected-line${series.length > 1 ? ` is-${look(index).colour}` : ''}`}
              d={path(expected)}
            />
          ))}
          {series.map(({ label, points, bare }, index) => (
            <g key={label} class={`series is-${look(index).colour}`}>
              {!bare && points.map((point) => <Trials key={point.x} point={point} px={px} py={py} />)}
              <path class="line" d={path(points)} stroke-dasharray={look(index).dash} />
              {!bare &&
                points.map((point) => (
                  <g key={point.x}>
                    {point.low !== undefined && point.high !== undefined && py(point.low) - py(point.high) > 3 && (
                      <path
                        class="whisker"
                        d={`M${px(point.x) - 4} ${py(point.high)}h8m-4 0V${py(point.low)}m-4 0h8`}
                      />
                    )}
                    <Mark at={[px(point.x), py(point.y)]} shape={look(index).mark} said={point.said} />
                  </g>
                ))}
            </g>
          ))}
        </svg>
      </div>
    </figure>
  );
}

interface Placed {
  point: XyPoint;
  px: (value: number) => number;
  py: (value: number) => number;
}

function Trials({ point, px, py }: Placed) {
  return (
    <>
      {(point.values ?? []).map((value, index) => (
        <circle key={index} class="trial" cx={px(point.x)} cy={py(value)} r="2" />
      ))}
    </>
  );
}

interface MarkProps {
  at: [number, number];
  shape: SymbolType;
  said?: string | undefined;
}

function Mark({ at, shape, said }: MarkProps) {
  return (
    <path class="mark" transform={`translate(${at.join()})`} d={symbol(shape, AREA).digits(1)() ?? ''}>
      {said && <title>{said}</title>}
    </path>
  );
}
