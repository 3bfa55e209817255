/** The frame around the views: navigation, connection, theme, and the sheet for details. */
import { computed, effect } from '@preact/signals';
import { useLayoutEffect } from 'preact/hooks';
import { InstanceSheet } from '../features/live/instance-sheet.tsx';
import { ReplySheet } from '../features/requests/reply-sheet.tsx';
import { linkTo } from '../domain/address.ts';
import { connection } from '../state/connection.ts';
import { lastScroll, linkToLast, sheet } from '../state/route.ts';
import { version } from '../state/store.ts';
import { theme, type Theme } from '../ui/theme.ts';
import { ConnectionBanner, ConnectionMark, ReloadBanner } from './connection.tsx';
import { ReplayBar } from './replay-bar.tsx';
import { pageTitle } from './title.ts';
import { view, VIEWS } from './views.ts';

// Computed first, so that the browser is given a title only when it is another.
const title = computed(pageTitle);
effect(() => {
  document.title = title.value;
});

/** The whole page. */
export function App() {
  const { name, Page, title: heading } = view.value;
  useLayoutEffect(() => scrollTo(0, lastScroll(name)), [name]);
  return (
    <>
      <a class="skip" href="#main" onClick={skipToMain}>
        Skip to the content
      </a>
      <header class="bar">
        <Logo />
        <nav class="views" aria-label="Views">
          {VIEWS.map((one) => (
            <a
              key={one.name}
              href={one === view.value ? linkTo({ view: one.name }) : linkToLast(one.name)}
              aria-current={one === view.value ? 'page' : undefined}
            >
              {one.title}
            </a>
          ))}
        </nav>
        <ConnectionMark />
        <ThemeChoice />
      </header>
      <ConnectionBanner />
      <ReloadBanner />
      <ReplayBar />
      <main id="main" tabIndex={-1} class={connection.value.state === 'lost' ? 'stale' : undefined}>
        <h1 class="unseen">{heading}</h1>
        <Page />
      </main>
      <OpenSheet />
    </>
  );
}

function OpenSheet() {
  const opened = sheet.value;
  if (!opened) return null;
  return 'instance' in opened ? (
    <InstanceSheet key={opened.instance} id={opened.instance} />
  ) : (
    <ReplySheet key={opened.message} requestId={opened.request} messageId={opened.message} />
  );
}

/** The address after `#` is the view, so the link must not change it. */
function skipToMain(event: Event): void {
  event.preventDefault();
  document.getElementById('main')?.focus();
}

function Logo() {
  return (
    <a class="logo" href="#/" aria-label={`swarmq ${version.value}`} title={version.value && `swarmq ${version.value}`}>
      <svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">
        <path class="logo-hive" d="M16 1.5 28.6 8.75v14.5L16 30.5 3.4 23.25V8.75z" />
        <path class="logo-ways" d="M9 16h5.5M17 15l5.5-4.5M17 17l5.5 4.5" />
        <g class="logo-nodes">
          <circle cx="8.5" cy="16" r="2.6" />
          <circle cx="16" cy="16" r="2.6" />
          <circle cx="23.5" cy="10" r="2.6" />
          <circle cx="23.5" cy="22" r="2.6" />
        </g>
      </svg>
      <span>swarmq</span>
    </a>
  );
}

const THEMES: { value: Theme; label: string }[] = [
  { value: 'system', label: 'System' },
  { value: 'light', label: 'Light' },
  { value: 'dark', label: 'Dark' },
];

function ThemeChoice() {
  return (
    <label class="theme">
      <span>Theme</span>
      <select value={theme.value} onChange={(event) => (theme.value = event.currentTarget.value as Theme)}>
        {THEMES.map(({ value, label }) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
    </label>
  );
}
