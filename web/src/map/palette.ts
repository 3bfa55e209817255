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

let last: { isDark: boolean; palette: Palette } | undefined;

/** The colours as the page has them, dark or light. */
export function paletteOf(isDark: boolean): Palette {
  if (last?.isDark !== isDark) last = { isDark, palette: readPalette() };
  return last.palette;
}

function readPalette(): Palette {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()])) as Palette;
}
