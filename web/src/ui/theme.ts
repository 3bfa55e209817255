/** Light or dark, as the system has it or as it was chosen. */
import { computed, effect, signal } from '@preact/signals';
import { remembered } from './remembered.ts';

export type Theme = 'system' | 'light' | 'dark';

/** Light, dark, or as the system has it; this browser remembers it. */
export const theme = remembered<Theme>(() => localStorage, 'swarmq.theme', 'system');

const night = matchMedia('(prefers-color-scheme: dark)');
const systemDark = signal(night.matches);
night.addEventListener('change', ({ matches }) => {
  systemDark.value = matches;
});

/** True when the page is shown dark. */
export const dark = computed(() => (theme.value === 'system' ? systemDark.value : theme.value === 'dark'));

/** The theme's colours by name, as a canvas takes them: a custom property alone would give both its light and its dark one. */
export function coloursOf<N extends string>(names: readonly N[]): Record<N, string> {
  const probe = document.createElement('i');
  document.documentElement.append(probe);
  const style = getComputedStyle(probe);
  const found = names.map((name) => {
    probe.style.color = `var(--${name})`;
    return [name, style.color] as const;
  });
  probe.remove();
  return Object.fromEntries(found) as Record<N, string>;
}

effect(() => {
  if (theme.value === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme.value;
});
