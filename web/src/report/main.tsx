import { render } from 'preact';
