// Time to live under the native harness: entries age on both clocks as under the real host.

import assert from 'node:assert/strict';
import test from 'node:test';
import { defineOperator, list, map, number, output, text, textKey, value } from '@tidemill/sdk';
import { Harness, record } from '@tidemill/sdk/testing';

/** Notes the event's value in each state, and emits what it finds. */
const aging = defineOperator({
  name: 'aging',
  declare: {
    brief: value(number, { initial: 0, ttl: '100ms' }),
    fresh: map(textKey, number, { ttl: '100ms', clock: 'event', refresh: 'read-and-write' }),
    recent: list(text, { ttl: '100ms', clock: 'event' }),
    kept: value(number, { initial: 0 }),
    out: output(),
  },
  process(event, { brief, fresh, recent, kept, out }) {
    const [verb, rest] = event.text().split(' ');
    if (verb === 'read') {
      out.emit(event.key, fresh.has(rest) ? 'there' : '-');
      return;
    }
    kept.update((n) => n + 1);
    fresh.set(verb, 1);
    recent.push(verb);
    out.emit(event.key, `${brief.update((n) => n + 1)} ${recent.get().join(',')}`);
  },
});

test('entries age on the clock and in event time', () => {
  const harness = new Harness(aging);
  const ask = (line, time) => {
    harness.send(record('k', line, { time }));
    return harness.output('out')[0].value;
  };
  harness.clock(1_000);
  assert.equal(ask('a', 5_000), '1 a');
  harness.clock(1_099);
  harness.replaceInstance();
  assert.equal(ask('b', 5_050), '2 a,b', 'a millisecond before it is over');
  harness.clock(1_199);
  assert.equal(harness.stateEntries('brief'), 0, '100 ms after it was written last');
  harness.watermark(5_099);
  assert.equal(ask('read a', 0), 'there', 'a read counts from the watermark');
  harness.watermark(5_150);
  assert.equal(ask('read b', 0), '-', 'nobody read it');
  assert.equal(ask('read a', 0), 'there');
  assert.equal(ask('c', 5_160), '1 c');
  harness.watermark(6_000);
  const left = ['fresh', 'recent', 'kept'].map((state) => harness.stateEntries(state));
  assert.deepEqual(left, [0, 0, 1], 'what is over is freed, what has no time to live stays');
  assert.deepEqual(harness.timers(), [], 'the operator sees no timer of it');
});
