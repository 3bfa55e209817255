// What a page does whose server serves another one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { updateFor } from '../src/app/update.ts';

const OLD = '0.9.0+aaaa';
const NEW = '0.10.0+bbbb';

test('a page that is older than its server is reloaded, and one that is its own is not', () => {
  assert.equal(updateFor(OLD, NEW, [], false), 'reload');
  assert.equal(updateFor('0.9.0+aaaa', '0.9.0+cccc', [], false), 'reload', 'another build of the same version');
  assert.equal(updateFor('0.9.0+cccc', '0.9.0+aaaa', [], false), 'reload', 'of which nobody can tell the newer');
  assert.equal(updateFor(NEW, NEW, [], false), 'none');
});

test('a page that is newer than its server is left alone, and so is one that can’t be compared', () => {
  assert.equal(updateFor(NEW, OLD, [], false), 'offer');
  assert.equal(updateFor(OLD, null, [], false), 'none', 'this server serves no page');
  assert.equal(updateFor('swarmq:page-id', NEW, [], false), 'none', 'the program did not build this page');
});

test('nobody loses what is being typed', () => {
  assert.equal(updateFor(OLD, NEW, [], true), 'offer');
});

test('where reloads can’t be remembered there are none', () => {
  assert.equal(updateFor(OLD, NEW, undefined, false), 'offer');
});

test('servers of several versions that take turns end in one reload for each', () => {
  const pages = ['1.0.0+a', '1.0.0+b', '1.1.0+c'];
  const tried: string[] = [];
  let reloads = 0;
  // Whatever page a reload brings, its socket leads to each server in turn.
  for (let turn = 0; turn < 1_000; turn += 1) {
    const page = pages[(turn * 7) % 3] ?? '';
    const served = pages[turn % 2 === 0 ? (turn >> 1) % 3 : (turn * 5) % 3] ?? '';
    if (updateFor(page, served, tried, false) !== 'reload') continue;
    tried.push(served);
    reloads += 1;
  }
  assert.ok(reloads > 0 && reloads <= pages.length, `${reloads} reloads`);
});
