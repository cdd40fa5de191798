// The operator without Wasm.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Harness, record } from '@tidemill/sdk/testing';
import { operator } from '../src/operator.ts';

const MINUTE_MS = 60_000;
const sessions = () => new Harness(operator, { gap_minutes: 10 });
const at = (...minutes: number[]) => minutes.map((minute) => record('k', 'x', { time: minute * MINUTE_MS }));

/** [start, end, count] in minutes. */
function results(harness: Harness) {
  const rows = harness.output('sessions').map((one) => one.json());
  return rows.map(({ start, end, count }) => [Math.floor(start / MINUTE_MS), Math.floor(end / MINUTE_MS), count]);
}

test('a gap ends a session and one ms less does not', () => {
  const harness = sessions();
  harness.send(...at(0, 5, 15), record('k', 'x', { time: 25 * MINUTE_MS - 1 }));
  harness.watermark(25 * MINUTE_MS);
  assert.deepEqual(results(harness), [[0, 5, 2]]);
  harness.watermark(35 * MINUTE_MS - 2);
  assert.deepEqual(results(harness), [[15, 24, 2]]);
  assert.deepEqual([harness.stateEntries('open'), harness.timers()], [0, []]);
});

test('sessions grow together in whatever order the events come', () => {
  for (const order of [[0, 8, 16, 40], [16, 40, 0, 8], [40, 16, 8, 0]]) {
    const harness = sessions();
    for (const event of at(...order)) {
      harness.send(event);
      harness.replaceInstance();
    }
    assert.equal(harness.timers().length, 2, 'one for each open session');
    harness.end();
    assert.deepEqual(results(harness), [[0, 16, 3], [40, 40, 1]], String(order));
  }
});

test('late is what no open session could hold', () => {
  const harness = sessions();
  harness.send(...at(20));
  harness.watermark(25 * MINUTE_MS);
  harness.send(...at(12, 1));
  harness.end();
  assert.deepEqual(results(harness), [[12, 20, 2]]);
  assert.match(harness.deadLetters()[0].reason, /^late: /);
});
