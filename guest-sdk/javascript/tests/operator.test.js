// Declaration, configuration, ports, timers, metrics, errors: built during the call, undone with a refused event, handed over
// once.

import assert from 'node:assert/strict';
import test from 'node:test';
import {
  aggregating, defineOperator, Fatal, integerKey, list, map, number, output, reducing, Retry, text, value,
} from '@tidemill/sdk';
import { Harness, record } from '@tidemill/sdk/testing';
import { effects, everything, failing } from './script.js';

const at = (key, line, time, headers = []) => record(key, line, { time, headers });
const values = (records) => records.map((one) => one.value);

test('fields are declared by type, name and order', () => {
  assert.deepEqual(new Harness(everything, { limit: 1 }).descriptor, {
    descriptor: 1,
    name: 'everything',
    version: '1.2.3',
    inputs: [{ name: 'orders' }, { name: 'payments' }],
    outputs: [{ name: 'out' }],
    states: [
      { name: 'last-seen', kind: 'value' },
      { name: 'by-day', kind: 'map' },
      { name: 'open-items', kind: 'list' },
    ],
    timers: [{ name: 'day-end' }, { name: 'time-out' }],
    metrics: [
      { name: 'late-rows', kind: 'counter' },
      { name: 'size', kind: 'histogram' },
      { name: 'high_water', kind: 'gauge' },
    ],
    wants: { watermarks: true },
    config: { type: 'object' },
  });
});

test('a state says how long its entries last', () => {
  const lasting = defineOperator({
    name: 'lasting',
    declare: {
      seen: value(number, { ttl: '10s' }),
      byDay: map(integerKey, text, { ttl: '2d', clock: 'event', refresh: 'read-and-write' }),
      items: list(text, { ttl: '500ms', refresh: 'write' }),
      highest: reducing(number, Math.max, { ttl: '5m', clock: 'processing' }),
      whole: aggregating(number, { start: () => 0, add: (sum, one) => sum + one, result: String }, { ttl: '1h' }),
    },
  });
  const ttl = (ms, clock = 'processing-time', refresh = 'write') => ({ ms, clock, refresh });
  assert.deepEqual(new Harness(lasting).descriptor.states, [
    { name: 'seen', kind: 'value', ttl: ttl(10_000) },
    { name: 'by-day', kind: 'map', ttl: ttl(172_800_000, 'event-time', 'read-and-write') },
    { name: 'items', kind: 'list', ttl: ttl(500) },
    { name: 'highest', kind: 'value', ttl: ttl(300_000) },
    { name: 'whole', kind: 'value', ttl: ttl(3_600_000) },
  ]);
});

test('a time to live that cannot be meant is refused', () => {
  for (const [options, wanted] of [
    [{ ttl: '10' }, 'write a duration above 0'],
    [{ ttl: '0s' }, 'write a duration above 0'],
    [{ ttl: 10 }, 'write a duration above 0'],
    [{ ttl: '9007199254740992ms' }, 'write a duration above 0'],
    [{ ttl: '1s', clock: 'wall' }, "write 'event' or 'processing'"],
    [{ ttl: '1s', refresh: 'read' }, "write 'write' or 'read-and-write'"],
    [{ clock: 'event' }, 'are of `ttl`'],
  ]) {
    assert.throws(() => value(number, options), (error) => error.message.includes(wanted), JSON.stringify(options));
  }
});

test('the configuration is typed and inputs are told apart', () => {
  const harness = new Harness(everything, { limit: 3, prefix: '>' });
  harness.sendTo(0, record('k'));
  harness.sendTo(1, record('k'));
  assert.deepEqual(harness.output('out'), [record('order', '>3 false'), record(null, '>3 true')]);
});

test('a configuration that does not fit is refused by name', () => {
  const cases = [
    [{}, 'missing field `limit`'],
    [null, 'missing field `limit`'],
    [[], 'no table'],
    [{ limit: 'three' }, '`limit` is "three", no number'],
    [{ limit: 3, limits: 4 }, 'unknown field `limits`'],
  ];
  for (const [config, wanted] of cases) {
    assert.throws(
      () => new Harness(everything, config),
      (error) => error instanceof Fatal && error.message.includes(wanted) && error.message.includes('operator `everything`'),
    );
  }
});

test('names that clash or cannot be written are refused', () => {
  const declared = (declare) => () => new Harness(defineOperator({ name: 'x', declare }));
  assert.throws(declared({ sameName: value(), other: value(number, { name: 'same-name' }) }), /two states named `same-name`/);
  assert.throws(declared({ out: output({ name: 'my port' }) }), /my port/);
  assert.throws(declared({ config: output() }), /declare.config is taken/);
  assert.throws(declared({ out: 'out' }), /declare.out is no state/);
  assert.throws(() => new Harness(defineOperator({})), /needs a name/);
});

test('an operator without process says so and has one input', () => {
  const harness = new Harness(defineOperator({ name: 'nothing' }));
  assert.deepEqual(harness.descriptor.inputs, [{ name: 'events' }]);
  assert.deepEqual(harness.descriptor.wants, { watermarks: false });
  assert.throws(() => harness.send(record('k')), /neither process nor processBatch/);
});

test('a batch can be handled as columns and event by event', () => {
  const columnar = defineOperator({
    name: 'columnar',
    declare: { seen: value(number, { initial: 0 }), out: output() },
    processBatch(batch, { seen, out }) {
      out.forwardBatch(batch);
      const refused = batch.each((event) => {
        seen.update((n) => n + 1);
        out.emit(event.key, String(event.json().length));
      });
      out.emit(null, `${refused.length} of ${batch.values.length} ${batch.keys[0]} ${batch.timestamps}`, { at: 9 });
      return refused;
    },
  });
  const harness = new Harness(columnar);
  harness.send(record('a', '[1,2]'), record('a', '['));
  assert.deepEqual(values(harness.output('out')), ['[1,2]', '[', '2', '1 of 2 97 0,0']);
  assert.match(harness.deadLetters()[0].reason, /not the JSON/);
});

test('a refused event takes its output, timers and metrics with it', () => {
  const harness = new Harness(effects);
  harness.sendTo(1, at('a', 'x', 1), at('b', 'reject', 2), at('c', 'yy', 3));
  assert.deepEqual(harness.output('main'), [at('a', 'x', 1), at('c', 'yy', 3)]);
  const side = harness.output('by_side');
  assert.deepEqual([side.length, side[1]], [2, at(null, 'side', 3, [['input', 'c']])]);
  assert.deepEqual(harness.timers(), []);
  assert.deepEqual(['seen', 'level', 'sizes'].map((name) => harness.metric(name)), [2, 3, 3]);
  assert.deepEqual(harness.deadLetters(), [{ record: at('b', 'reject', 2), reason: 'told to, on the right' }]);
  assert.deepEqual(harness.log(), [['warn', 'refusing 2']], 'log lines survive');
  assert.equal(harness.calls.emit, 2, 'once per port');
});

test('a refused first event leaves no trace in headers or absent columns', () => {
  const harness = new Harness(effects);
  harness.send(record('a', 'reject'), at('b', 'forward', 0, [['h', '1']]));
  assert.deepEqual(harness.output('by_side'), [at(null, 'side', 0, [['input', 'b']]), at('b', 'forward', 0, [['h', '1']])]);
});

test('timers fire by watermark, earliest first, and what they register fires too', () => {
  const harness = new Harness(effects);
  harness.send(at('b', 'timer', 1), at('a', 'timer', 0), at('a', 'timer', 0));
  assert.equal(harness.timers().length, 2, 'the same timer twice is one');
  harness.output('main');
  harness.watermark(9);
  assert.deepEqual(harness.output('main'), []);
  harness.watermark(20);
  const fired = harness.output('main');
  const times = (key) => fired.filter((one) => one.key === key).map((one) => one.time);
  assert.deepEqual([times('a'), times('b')], [[10, 11, 12, 13], [11, 12, 13]]);
  assert.deepEqual(harness.timers(), []);
});

test('a timer taken back does not fire', () => {
  const harness = new Harness(effects);
  harness.send(record('a', 'timer'), record('b', 'timer'), record('b', 'cancel'));
  assert.deepEqual(harness.timers(), [{ domain: 'event-time', name: 'soon', key: 'a', time: 10 }]);
  harness.send(record('a', 'cancel'));
  assert.deepEqual(harness.timers(), []);
});

test('a refused timer goes to the dead letters and the others fire', () => {
  const harness = new Harness(effects);
  harness.send(at('bad', 'timer', 5), at('good', 'timer', 5));
  harness.output('main');
  harness.end();
  assert.deepEqual(values(harness.output('main')), ['soon false 0']);
  assert.deepEqual(harness.deadLetters(), [{ record: at('bad', '', 15), reason: 'a bad key' }]);
});

test('processing-time timers follow the clock alone', () => {
  const harness = new Harness(effects);
  harness.clock(1_000);
  harness.send(record('a', 'clock'));
  harness.output('main');
  harness.watermark(1_000_000);
  harness.clock(1_099);
  assert.deepEqual(harness.output('main'), []);
  harness.clock(1_100);
  assert.deepEqual(values(harness.output('main')), ['at-clock true 1100']);
});

test('watermarks and the end reach the operator', () => {
  const harness = new Harness(effects);
  harness.watermark(5);
  harness.watermark(4);
  harness.end();
  assert.deepEqual(values(harness.output('by_side')), ['watermark', 'closed']);
});

test('a time outside the range refuses the event', () => {
  const harness = new Harness(effects);
  harness.send(record('a', 'too-late'), record('a', 'x'));
  assert.match(harness.deadLetters()[0].reason, /port `main`: 9223372036854776000 ms is no time/);
  assert.deepEqual(values(harness.output('main')), ['x']);
});

test('much output is emitted in pieces and in order', () => {
  const harness = new Harness(effects);
  const big = 'x'.repeat(100_000);
  harness.send(...Array.from({ length: 10 }, (_, time) => at('k', big, time)));
  assert.deepEqual(harness.output('main').map((one) => one.time), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.equal(harness.calls.emit, 4 + 1, '1 MB in pieces of 256 KiB, and the other port');
});

test('a failed call leaves nothing and the instance goes on', () => {
  const harness = new Harness(failing);
  const sent = (what) => () => harness.send(record('k', 'x'), record('k', what));
  assert.throws(sent('retry'), (error) => error instanceof Retry && error.afterMs === 7);
  assert.throws(sent('fatal'), (error) => error instanceof Fatal && error.message === 'told to');
  assert.throws(sent('bug'), /^Fatal: TypeError: .* \(at event or timer 1 of the call\); the stack is/);
  const [[level, line]] = harness.log();
  assert.equal(level, 'error');
  assert.match(line, /script\.js/);
  harness.send(record('k', 'x'));
  assert.deepEqual(values(harness.output('out')), ['1']);
  assert.deepEqual(harness.deadLetters(), []);
});

test('what cannot be read refuses the event and says why', () => {
  const harness = new Harness(failing);
  harness.send(record('k', 'parse'), record('k', Uint8Array.of(255)), record(null, 'x'), record('k', null), record('k', 'json'));
  const reasons = harness.deadLetters().map((letter) => letter.reason);
  const wanted = [
    /^SyntaxError: /,
    /^the value is not UTF-8 text/,
    /^seen: the event has no key; give the source or the upstream operator one$/,
    /^the event has no value; text is needed$/,
    /^the value is not the JSON that is needed/,
  ];
  assert.equal(reasons.length, wanted.length);
  reasons.forEach((reason, i) => assert.match(reason, wanted[i]));
  assert.equal(harness.stateEntries('seen'), 0);
});

test('what is neither bytes, text nor JSON cannot be emitted', () => {
  const sent = (what) => () => new Harness(failing).send(record('k', what));
  assert.throws(sent('number'), /the value is 5: a string, a Uint8Array or null/);
  assert.throws(sent('nothing'), /cannot be written as JSON: it is undefined/);
  assert.throws(sent('big'), /cannot be written as JSON: TypeError/);
});

test('keyed state outside an event is a fatal mistake that is explained', () => {
  const keyless = defineOperator({ name: 'keyless', declare: { seen: value() }, close: ({ seen }) => seen.set(1) });
  assert.throws(() => new Harness(keyless).end(), /seen: no event is in progress/);
});

test('the exports answer with the failures of the WIT', () => {
  assert.throws(
    () => failing.close(),
    (failure) => failure.tag === 'fatal' && failure.val === 'the host called the operator before `open`',
  );
  assert.throws(() => everything.open('{}'), (failure) => failure.tag === 'fatal' && /missing field/.test(failure.val));
  assert.equal(defineOperator({}).describe(), '', 'no descriptor is better than a wrong one');
});
