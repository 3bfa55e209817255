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

effect(() => {
  if (theme.value === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme.value;
});
