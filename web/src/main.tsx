import { render } from 'preact';
import { App } from './app.tsx';
import { connect } from './socket.ts';

const place = document.getElementById('app');
if (place) render(<App />, place);
connect();
