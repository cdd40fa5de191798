// The aggregate without Wasm.

import assert from 'node:assert/strict';
import test from 'node:test';
import { AggregateHarness, record } from '@tidemill/sdk/testing';
import { aggregate } from '../src/operator.ts';

const flight = (origin: string, time: number, delay: string) => record(origin, JSON.stringify({ dep_delay_min: delay }), { time });

test('a window gives one result per airport, whatever the order', () => {
  const flights = [flight('JFK', 90, '16'), flight('LGA', 5, '3'), flight('JFK', 10, ''), flight('JFK', 20, '-4')];
  for (const order of [flights, flights.toReversed()]) {
    const harness = new AggregateHarness(aggregate, {}, { windowMs: 100 });
    for (const one of order) {
      harness.send(one);
      harness.split();
      harness.replaceInstance();
    }
    harness.end();
    const row = (origin: string, rest: object) => ({ origin, from: 0, to: 100, ...rest });
    assert.deepEqual(harness.results().map((one) => one.json()), [
      row('JFK', { count: 3, cancelled: 1, late: 1, mean: 6, worst: 16 }),
      row('LGA', { count: 1, cancelled: 0, late: 0, mean: 3, worst: 3 }),
    ]);
    assert.equal(harness.metric('results'), 2);
  }
});

test('a refused row leaves the accumulator as it was', () => {
  const harness = new AggregateHarness(aggregate);
  // `add` has counted the flight before it finds that the delay is none.
  harness.send(...['7', 'soon', '9', 'later', '2'].map((delay) => flight('JFK', 1, delay)));
  assert.equal(harness.deadLetters().length, 2);
  harness.end();
  const { count, mean } = harness.results()[0].json();
  assert.deepEqual([count, mean], [3, 6]);
});

test('a wrong setting is named', () => {
  assert.throws(() => new AggregateHarness(aggregate, { treshold_minutes: 2 }), /unknown field `treshold_minutes`/);
});
