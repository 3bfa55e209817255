/** What this browser remembers: the theme for good, the control token until the tab is closed. */
import { computed, effect, signal, type Signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';

/** Light, dark, or as the system has it. */
export const theme = remembered<Theme>(() => localStorage, 'swarmq.theme', 'system');

/** Shown to the server with each control call; empty when none was entered. */
export const token = remembered<string>(() => sessionStorage, 'swarmq.token', '');

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

function remembered<T extends string>(storage: () => Storage, key: string, initial: T): Signal<T> {
  const value = signal<T>(initial);
  // A browser may forbid storage; then the choice lasts as long as the page.
  try {
    value.value = (storage().getItem(key) as T | null) ?? initial;
    effect(() => storage().setItem(key, value.value));
  } catch {
    return value;
  }
  return value;
}
