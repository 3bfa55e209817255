import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linkTo, parseAddress, sheetOf, withSheet, type Address } from '../src/domain/address.ts';

test('an address is a view, what it is about, and a query', () => {
  assert.deepEqual(parseAddress(''), { view: '', params: [], query: {} });
  assert.deepEqual(parseAddress('#/'), { view: '', params: [], query: {} });
  assert.deepEqual(parseAddress('#/experiments/new/20261125-1-quick'), {
    view: 'experiments',
    params: ['new', '20261125-1-quick'],
    query: {},
  });
  assert.deepEqual(parseAddress('#/requests?outcome=error&node=pi+1').query, { outcome: 'error', node: 'pi 1' });
});

test('what is written into an address is read from it', () => {
  const odd = 'pi "1"/a?b#ü<b>%2F & c=d+e';
  const addresses: Address[] = [
    { view: '', params: [], query: { instance: odd } },
    { view: 'control', params: [odd], query: {} },
    { view: 'requests', params: [], query: { worker: odd, node: odd } },
  ];
  for (const address of addresses) assert.deepEqual(parseAddress(linkTo(address)), address);
  assert.equal(linkTo({ view: 'requests', query: { outcome: '', node: 'x' } }), '#/requests?node=x');
  assert.equal(linkTo({}), '#/');
});

test('an address with a lone percent sign is taken as it is', () => {
  assert.deepEqual(parseAddress('#/nowhere/%').params, ['%']);
});

test('a sheet is part of the query, and leaves the rest of it alone', () => {
  const query = withSheet({ node: 'x', instance: 'a' }, { request: 'r', message: 'm' });
  assert.deepEqual(query, { node: 'x', request: 'r', message: 'm' });
  assert.deepEqual(sheetOf({ view: '', params: [], query }), { request: 'r', message: 'm' });
  assert.deepEqual(withSheet(query, undefined), { node: 'x' });
  assert.equal(sheetOf({ view: '', params: [], query: { message: 'm' } }), undefined);
});
