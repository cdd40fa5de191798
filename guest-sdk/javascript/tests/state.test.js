// Every kind of keyed state: typed, cached per call, undone with a refused event, the same on another instance; and bytes.

import assert from 'node:assert/strict';
import test from 'node:test';
import { codec, defineOperator, integerKey, value } from '@tidemill/sdk';
import { Harness, record } from '@tidemill/sdk/testing';
import { decodeUtf8, encodeUtf8, fromBinary, toBinary } from '../src/bytes.js';
import { packTimes, unpackTimes } from '../src/columns.js';
import { encode } from '../src/headers.js';
import { script } from './script.js';

function run(harness, ...lines) {
  harness.send(...lines.map((line) => record('k', line)));
  return harness.output('out').map((one) => one.json());
}

/** In one call, and with the first part in an earlier call of an earlier instance. */
function bothWays(before, after, expected) {
  assert.deepEqual(run(new Harness(script), ...before, ...after), expected, 'in one call');
  const harness = new Harness(script);
  run(harness, ...before);
  harness.replaceInstance();
  assert.deepEqual(run(harness, ...after), expected, 'over stored state');
  assert.deepEqual(harness.deadLetters(), []);
}

test('a value is got, set, changed, taken and cleared', () => {
  bothWays(
    ['credit(5)', "s.note.set('ä')", 's.big.set(2n ** 70n)', 's.raw.set(Uint8Array.of(0, 255))', 's.flag.set(true)'],
    ['credit(2)', '? s.account.take()', '? s.account.get()', '? s.note.get()', 's.note.clear()', '? s.note.get()',
     '? String(s.big.update((n) => n + 1n))', '? [...s.raw.get()]', '? s.flag.take()', '? s.flag.get()'],
    [{ name: 'nnn', cents: 7 }, { name: 'nnn', cents: 0 }, 'ä', null, '1180591620717411303425', [0, 255], true, false],
  );
});

test('a codec of one\'s own', () => {
  bothWays(['s.dates.set(new Date(7))'], ['? s.dates.get()'], ['1970-01-01T00:00:00.007Z']);
});

test('changing what was read changes no state', () => {
  bothWays(
    ['credit(1)', "s.pairs.set([1, 'a'], { n: 1 })"],
    ['s.account.get().cents = 9', "s.pairs.get([1, 'a']).n = 2", "? [s.account.get().cents, s.pairs.get([1, 'a'])]"],
    [[1, { n: 1 }]],
  );
});

test('a map is ordered and knows what the call wrote', () => {
  bothWays(
    [7, -300, 0, 255, 256, 5, -1].map((n) => `s.named.set(${n}, 'v${n}')`),
    ["s.named.set(6, 'new')", 's.named.delete(0)', "s.named.set(7, 'changed')", '? s.named.entries()',
     '? s.named.entries({ start: -1, end: 7 })', '? s.named.entries({ limit: 2 })',
     '? [s.named.has(0), s.named.has(6), s.named.take(5), s.named.take(5) ?? null]',
     "? s.named.update(5, (v) => v ?? 'none')"],
    [
      [[-300, 'v-300'], [-1, 'v-1'], [5, 'v5'], [6, 'new'], [7, 'changed'], [255, 'v255'], [256, 'v256']],
      [[-1, 'v-1'], [5, 'v5'], [6, 'new']],
      [[-300, 'v-300'], [-1, 'v-1']],
      [false, true, 'v5', null],
      'none',
    ],
  );
});

test('pairs sort by the number first', () => {
  bothWays(
    ["s.pairs.set([2, 'a'], 1)", "s.pairs.set([-1, 'z'], 2)", "s.pairs.set([2, 'Z'], 3)"],
    ['? s.pairs.entries()', "? s.pairs.entries({ start: [2, 'a'] })"],
    [[[[-1, 'z'], 2], [[2, 'Z'], 3], [[2, 'a'], 1]], [[[2, 'a'], 1]]],
  );
});

test('a cleared map is empty and can be filled again', () => {
  bothWays(
    ["s.named.set(1, 'old')", "s.named.set(2, 'old')"],
    ['s.named.clear()', '? s.named.has(1)', "s.named.set(2, 'new')", '? s.named.entries()'],
    [false, [[2, 'new']]],
  );
});

test('a list gives back what was appended in order', () => {
  bothWays(
    ['s.items.push(3, 1, 2)', 's.items.push(9)', 's.items.push(8)'],
    ['s.items.push(7)', '? s.items.get()', 's.items.set([4])', 's.items.push(5)', '? s.items.take()', '? s.items.get()'],
    [[3, 1, 2, 9, 8, 7], [4, 5], []],
  );
});

test('reducing and aggregating state fold', () => {
  bothWays(
    ['s.highest.add(4)\ns.mean.add(4)', 's.highest.add(10)\ns.mean.add(10)'],
    ['s.highest.add(-2)\ns.mean.add(-2)', '? [s.highest.get(), s.mean.get()]', 's.mean.clear()', '? s.mean.get()'],
    [[10, 4], null],
  );
});

test('a refused event leaves every kind as it was', () => {
  const undone = [
    'credit(100)', 's.account.take()', "s.note.set('gone')", "s.named.set(1, 'gone')", 's.named.delete(2)', 's.named.clear()',
    "s.named.set(3, 'gone')", 's.items.push(99)', 's.items.clear()', 's.items.push(98)', 's.highest.add(1000)',
    's.mean.add(1000)', 'reject',
  ].join('\n');
  const before = ['credit(5)', "s.note.set('kept')", "s.named.set(2, 'kept')", 's.items.push(1)', 's.highest.add(1)',
                  's.mean.add(1)'];
  const after = ['? s.account.get()', '? s.note.get()', '? s.named.entries()', '? s.items.get()',
                 '? [s.highest.get(), s.mean.get()]'];
  const expected = [{ name: 'nnn', cents: 5 }, 'kept', [[2, 'kept']], [1], [1, 1]];
  let harness = new Harness(script);
  assert.deepEqual(run(harness, ...before, undone, ...after), expected, 'in one call');
  assert.deepEqual(run(harness, ...after), expected, 'what was written');
  harness = new Harness(script);
  run(harness, ...before);
  assert.deepEqual(run(harness, undone), []);
  assert.deepEqual(run(harness, ...after), expected, 'over stored state');
  assert.equal(harness.deadLetters().length, 1);
});

test('a key is read once and written once per batch', () => {
  const harness = new Harness(script);
  harness.send(...Array.from({ length: 100 }, (_, i) => record(`k${i % 7}`, 'credit(1)')));
  assert.deepEqual(harness.calls, { get: 1, put: 1 });
  const line = "s.named.set(1, 'x')\ns.named.get(1)\ns.items.push(1)";
  harness.send(...Array.from({ length: 100 }, () => record('k', line)));
  assert.deepEqual(harness.calls, { get: 1, put: 2, append: 1 }, 'what was written needs no reading');
  assert.equal(harness.stateEntries('account'), 7);
});

test('a value that does not fit its declaration is fatal and named', () => {
  for (const line of ['s.note.set(5)', 's.named.set(1, 5)', "s.items.push('x')", 's.raw.set([1])', 's.account.set(5n)']) {
    assert.throws(() => run(new Harness(script), line), /state `(note|named|items|raw|account)`: the value cannot be encoded/);
  }
  assert.throws(() => run(new Harness(script), 's.note.set(null)'), /null cannot be stored/);
  assert.throws(() => run(new Harness(script), "s.named.set(1.5, 'x')"), /1.5 is no whole number/);
});

test('stored bytes of another type are fatal and name the state', () => {
  const refuse = () => {
    throw new TypeError('this is the old form');
  };
  const changed = defineOperator({
    name: 'changed',
    declare: { total: value(codec({ encode: () => Uint8Array.of(1), decode: refuse })) },
    process: (event, { total }) => (event.text() === 'write' ? total.set(1) : total.get()),
  });
  const harness = new Harness(changed);
  harness.send(record('k', 'write'));
  assert.throws(() => harness.send(record('k', 'read')), /state `total`: .*this is the old form/);
  assert.deepEqual(harness.deadLetters(), [], 'the event is not to blame');
});

test('sub-keys sort as their values and come back', () => {
  const numbers = [-Number.MAX_SAFE_INTEGER, -300, -1, 0, 1, 255, 256, 2 ** 32, Number.MAX_SAFE_INTEGER];
  const encoded = numbers.map((n) => integerKey.encode(n));
  assert.deepEqual(encoded, [...encoded].sort());
  assert.deepEqual(encoded.map((binary) => integerKey.decode(binary)), numbers);
});

test('bytes, UTF-8, times and headers come back', () => {
  const bytes = Uint8Array.from({ length: 20_000 }, (_, i) => i % 256);
  assert.deepEqual(fromBinary(toBinary(bytes)), bytes);
  for (const text of ['', 'ascii', 'ä€😀', '\0\x7f\x80']) {
    assert.deepEqual(fromBinary(encodeUtf8(text)), new TextEncoder().encode(text));
    assert.equal(decodeUtf8(encodeUtf8(text)), text);
  }
  assert.equal(decodeUtf8(encodeUtf8('\ud800')), '\ufffd');
  for (const bad of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe2, 0x82]]) {
    assert.throws(() => decodeUtf8(toBinary(Uint8Array.from(bad))), TypeError);
  }
  const times = [0, -1, 1, Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER, 2 ** 32, -(2 ** 32)];
  assert.deepEqual(unpackTimes(packTimes(times)), times);
  assert.deepEqual([...packTimes([-2])], [254, 255, 255, 255, 255, 255, 255, 255]);
  assert.deepEqual([...fromBinary(encode([['a', 'x']]))], [1, 0, 0, 0, 1, 0, 0, 0, 97, 1, 0, 0, 0, 120]);
});
