import { render } from 'preact';
import { App } from './app/app.tsx';
import { connect } from './transport/live.ts';

const place = document.getElementById('app');
if (place) render(<App />, place);
connect();
