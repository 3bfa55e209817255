/** Long lists of which only the rows in sight are made, and some around them. */
import {
  elementScroll,
  observeElementOffset,
  observeElementRect,
  observeWindowOffset,
  observeWindowRect,
  Virtualizer,
  windowScroll,
  type VirtualizerOptions,
} from '@tanstack/virtual-core';
import { useLayoutEffect, useReducer, useState } from 'preact/hooks';

/** Rows that are made beyond each edge. */
const OVERSCAN = 6;

interface List {
  count: number;
  /** A row's key, which goes with it when others come before it. */
  keyOf: (index: number) => string;
  /** Pixels of a row that was not measured yet. */
  estimate: number;
  /** Pixels between two rows. */
  gap?: number;
}

/** The rows to make, and the room of those before and after them, in pixels. */
export interface Visible {
  rows: readonly { index: number; key: string }[];
  before: number;
  after: number;
  /** To be the `ref` of each row's element, which needs `data-index`: rows have heights of their own. */
  measure: (element: Element | null) => void;
}

/** The rows in sight of a list that scrolls with the page, `top` pixels below its beginning. */
export function usePageRows(list: List, top: number): Visible {
  return useRows<Window, HTMLElement>(list, {
    getScrollElement: () => window,
    observeElementRect: observeWindowRect,
    observeElementOffset: observeWindowOffset,
    scrollToFn: windowScroll,
    initialOffset: () => scrollY,
    scrollMargin: top,
  });
}

/** The rows in sight of a list that scrolls within an element. */
export function useRowsWithin(list: List, scroller: { current: HTMLElement | null }): Visible {
  return useRows<HTMLElement, HTMLElement>(list, {
    getScrollElement: () => scroller.current,
    observeElementRect,
    observeElementOffset,
    scrollToFn: elementScroll,
  });
}

type Scrolling<S extends Element | Window, R extends Element> = Omit<
  VirtualizerOptions<S, R>,
  'count' | 'estimateSize' | 'getItemKey'
>;

function useRows<S extends Element | Window, R extends Element>(
  { count, keyOf, estimate, gap = 0 }: List,
  scrolling: Scrolling<S, R>,
): Visible {
  const [, render] = useReducer((renders: number) => renders + 1, 0);
  const options: VirtualizerOptions<S, R> = {
    ...scrolling,
    count,
    gap,
    estimateSize: () => estimate,
    getItemKey: keyOf,
    overscan: OVERSCAN,
    onChange: () => render(undefined),
  };
  const [virtualizer] = useState(() => new Virtualizer<S, R>(options));
  virtualizer.setOptions(options);
  useLayoutEffect(() => virtualizer._didMount(), []);
  useLayoutEffect(() => virtualizer._willUpdate());
  const items = virtualizer.getVirtualItems();
  const margin = scrolling.scrollMargin ?? 0;
  return {
    rows: items.map(({ index, key }) => ({ index, key: String(key) })),
    before: (items[0]?.start ?? margin) - margin,
    after: Math.max(0, virtualizer.getTotalSize() - ((items.at(-1)?.end ?? margin) - margin)),
    measure: (element) => virtualizer.measureElement(element as R | null),
  };
}
