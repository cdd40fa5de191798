// The operator without Wasm.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Harness, record } from '@tidemill/sdk/testing';
import { operator } from '../src/operator.js';

test('only a longer value of the same key comes out', () => {
  const harness = new Harness(operator);
  const lines = [['a', 'tide'], ['b', 'mill'], ['a', 'sea'], ['a', 'flood']];
  harness.send(...lines.map(([key, line]) => record(key, line)));
  assert.deepEqual(harness.output('lines').map((one) => one.value), ['tide', 'mill', 'flood']);
});

test('bytes that are no text are refused', () => {
  const harness = new Harness(operator);
  harness.send(record('a', Uint8Array.of(255)));
  assert.equal(harness.deadLetters().length, 1);
});
