// Window aggregates: folding, merging, rows, and refused events that leave their accumulator as it was.

import assert from 'node:assert/strict';
import test from 'node:test';
import { output } from '@tidemill/sdk';
import { counter, defineAggregator, number, Reject } from '@tidemill/sdk/aggregator';
import { AggregateHarness, record } from '@tidemill/sdk/testing';

/** Keeps the numbers themselves, changed in place; refuses what is negative after having taken it. */
const numbers = defineAggregator({
  name: 'numbers',
  declare: { taken: counter() },
  start: () => [],
  add(kept, event, { taken }) {
    kept.push(event.json());
    taken.add();
    if (kept.at(-1) < 0) throw new Reject('negative');
  },
  merge: (kept, later) => void kept.push(...later),
  finish({ start, end, firing }, kept, rows) {
    for (const n of kept) rows.emitJson({ n, window: [start, end, firing] }, { key: 'own', headers: [['h', '1']] });
  },
});

const total = defineAggregator({
  name: 'total',
  accumulator: number,
  start: () => 0,
  add: (sum, event) => (event.text() === 'forgotten' ? undefined : sum + event.json()),
  merge: (sum, later) => sum + later,
  finish: (window, sum, rows) => rows.emit(String(sum)),
});

const events = (...values) => values.map((n) => record('k', String(n)));

test('it describes itself', () => {
  const { descriptor } = new AggregateHarness(numbers);
  assert.deepEqual([descriptor.name, descriptor.inputs], ['numbers', [{ name: 'events' }]]);
  assert.deepEqual(descriptor.outputs, [{ name: 'results' }]);
  assert.deepEqual(descriptor.metrics, [{ name: 'taken', kind: 'counter' }]);
});

test('folding in one call, in two, and merging give the same rows', () => {
  for (const road of ['one call', 'two calls', 'two pieces']) {
    const harness = new AggregateHarness(total, {}, { windowMs: 100 });
    const [early, late] = [record('a', '5', { time: 99 }), record('a', '6', { time: 100 })];
    if (road === 'one call') harness.send(...events(1, 2, 3), early, late);
    else {
      harness.send(...events(1), early);
      if (road === 'two pieces') harness.split();
      harness.replaceInstance();
      harness.send(...events(2, 3), late);
    }
    harness.end();
    const expected = [['a', '5', 99], ['k', '6', 99], ['a', '6', 199]].map(([key, n, time]) => record(key, n, { time }));
    assert.deepEqual(harness.results(), expected, road);
  }
});

test('a refused event leaves its accumulator as it was', () => {
  const harness = new AggregateHarness(numbers);
  harness.send(...events(7));
  harness.send(...events(1, -1, 2, -2, -3, 3));
  harness.end();
  const rows = harness.results();
  assert.deepEqual(rows.map((row) => row.json().n), [7, 1, 2, 3]);
  assert.deepEqual(rows[0].json().window, [0, 1000, 0]);
  assert.deepEqual([rows[0].key, rows[0].headers], ['own', [['h', '1']]]);
  assert.deepEqual(harness.deadLetters().map((letter) => letter.reason), ['negative', 'negative', 'negative']);
  assert.equal(harness.metric('taken'), 4, 'refused events are not counted, and none twice');
});

test('a forgotten return is a fatal mistake that is explained', () => {
  assert.throws(() => new AggregateHarness(total).send(record('k', 'forgotten')), /have to return the new accumulator/);
});

test('what only operators have is refused', () => {
  const withPort = defineAggregator({ name: 'with-port', declare: { out: output() } });
  assert.throws(() => new AggregateHarness(withPort), /window aggregate `with-port` declares `out`/);
});

test('no events and no windows are possible', () => {
  const harness = new AggregateHarness(total);
  harness.send();
  harness.end();
  assert.deepEqual(harness.results(), []);
});
