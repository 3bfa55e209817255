/** The colours of the theme, for the canvas. */
import { coloursOf } from '../ui/theme.ts';

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
  if (last?.isDark !== isDark) last = { isDark, palette: coloursOf(NAMES) };
  return last.palette;
}
