// The aggregate without Wasm.

import assert from 'node:assert/strict';
import test from 'node:test';
import { AggregateHarness, record } from '@tidemill/sdk/testing';
import { aggregate } from '../src/operator.ts';

test('a window gives one result per key', () => {
  const harness = new AggregateHarness(aggregate, {}, { windowMs: 10 });
  harness.send(
    record('a', 'tide', { time: 1 }),
    record('b', 'mill', { time: 2 }),
    record('a', 'sea', { time: 9 }),
    record('a', 'flood', { time: 12 }),
  );
  harness.split();
  harness.send(record('a', Uint8Array.of(255), { time: 3 }));
  harness.end();
  const results = harness.results().map((row) => [row.key, row.json().events, row.json().longest]);
  assert.deepEqual(results, [['a', 2, 4], ['b', 1, 4], ['a', 1, 5]]);
  assert.equal(harness.deadLetters().length, 1, 'what is no text is refused and does not count');
});
