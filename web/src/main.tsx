import { render } from 'preact';
import { App } from './app/app.tsx';
import { followServer } from './app/reload.ts';
import { goLive, replay } from './state/connection.ts';
import { watchPermission } from './state/permission.ts';

const place = document.getElementById('app');
if (place) render(<App />, place);

const recorded = new URLSearchParams(location.search).get('recording');
if (recorded === null) {
  goLive(new URL('ws', location.href.replace(/^http/, 'ws').replace(/#.*/, '')));
  watchPermission();
  followServer();
} else {
  void replay(recorded);
}
