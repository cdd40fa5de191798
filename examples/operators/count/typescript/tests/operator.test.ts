// The operator without Wasm.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Harness, record } from '@tidemill/sdk/testing';
import { operator } from '../src/operator.ts';

test('counts go on when the instance is replaced', () => {
  const harness = new Harness(operator);
  harness.send(record('a'), record('b'), record('a'));
  harness.replaceInstance();
  harness.send(record('a'));
  const expected = [['a', '1'], ['b', '1'], ['a', '2'], ['a', '3']].map(([key, n]) => record(key, n));
  assert.deepEqual(harness.output('counts'), expected);
});

test('an event without a key is refused', () => {
  const harness = new Harness(operator);
  harness.send(record(null, 'x'), record('a'));
  assert.match(harness.deadLetters()[0].reason, /seen: the event has no key/);
  assert.equal(harness.output('counts').length, 1);
});
