/** The colours of the theme, for the canvas. */

const NAMES = [
  'idle',
  'busy',
  'restarting',
  'gone',
  'line',
  'flow',
  'message',
  'response',
  'error',
  'timeout',
  'surface',
] as const;

export type Palette = Record<(typeof NAMES)[number], string>;

/** Reads the colours as they are now; they change with the theme. */
export function readPalette(): Palette {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()])) as Palette;
}
