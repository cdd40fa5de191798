// Runs an operator or window aggregate without Wasm, under `node --test`: the same runner over a host in memory.
//
//     import { Harness, record } from '@tidemill/sdk/testing';
//
//     const harness = new Harness(operator);
//     harness.send(record('a', 'x'), record('a', 'y'));
//     assert.deepEqual(harness.output('counts'), [record('a', '1'), record('a', '2')]);

import { asBinary, decodeUtf8, fromBinary } from './bytes.js';
import { pack, packOptional, packTimes, packU32, unpack, unpackU32 } from './columns.js';
import { Fatal, Retry } from './errors.js';
import { DEFINITION } from './exports.js';
import { END_OF_INPUT, NO_WATERMARK } from './index.js';
import { useSink } from './log.js';
import { eventsOf, memoryHost } from './memory_host.js';
import { columnsOf } from './output.js';

export { Trap } from './memory_host.js';

/** An event. Bytes are shown as text where they are, else as a Uint8Array. */
export class Record {
  constructor(key, value, time, headers) {
    const shown = (given) => {
      const binary = asBinary(given, 'a record');
      if (binary === null) return null;
      try {
        return decodeUtf8(binary);
      } catch {
        return fromBinary(binary);
      }
    };
    this.key = shown(key);
    this.value = shown(value);
    this.time = time;
    this.headers = headers.map(([name, one]) => [name, shown(one)]);
  }

  /** Its value parsed as JSON. */
  json() {
    return JSON.parse(this.value);
  }
}

/** An event: its key, value, { time, headers }. */
export function record(key, value = '', { time = 0, headers = [] } = {}) {
  return new Record(key, value, time, headers);
}

function binaryEvent({ key, value, time, headers }) {
  const binary = (given) => asBinary(given, 'a record');
  return { key: binary(key), value: binary(value), time, headers: headers.map(([name, one]) => [name, binary(one)]) };
}

function recordOf({ key, value, time, headers }) {
  const bytes = (binary) => (binary === null ? null : fromBinary(binary));
  return new Record(bytes(key), bytes(value), time, headers);
}

const toColumns = (records) => columnsOf(records.map(binaryEvent));

/** What both harnesses share. */
class Base {
  #open;
  #deadLetters = [];

  constructor(exported, config = {}) {
    const { definition, Runner } = exported[DEFINITION];
    this.host = memoryHost();
    useSink(this.host.log);
    /** What `describe` gives the host. */
    this.descriptor = Runner.describe(definition);
    this.host.states = this.descriptor.states;
    this.#open = () => new Runner(definition, this.host, JSON.stringify(config));
    this.runner = this.#open();
  }

  /** How often the operator called the host so far, by function. */
  get calls() {
    return { ...this.host.calls };
  }

  /** Replaces the instance, as the host may do between any two calls: state and timers stay, memory does not. */
  replaceInstance() {
    this.runner = this.#open();
  }

  /** Takes the events and timers that were refused since last asked: { record, reason }. */
  deadLetters() {
    return this.#deadLetters.splice(0);
  }

  /** Takes the lines logged since last asked: [level, message]. */
  log() {
    return this.host.lines.splice(0);
  }

  /** A counter's sum, a gauge's value, a histogram's sum. 0 before it was used. */
  metric(name) {
    return this.host.metric(this.indexOf('metrics', name));
  }

  indexOf(section, name) {
    const names = this.descriptor[section].map((entry) => entry.name);
    if (!names.includes(name)) throw new RangeError(`no ${name} in ${section}; there are: ${names.join(', ')}`);
    return names.indexOf(name);
  }

  /** A call about these events or timers is a transaction: an error drops everything it did. */
  transaction(call, about = []) {
    this.host.begin(about);
    try {
      return call();
    } catch (error) {
      if (error instanceof Retry || error instanceof Fatal) this.host.rollBack();
      throw error;
    }
  }

  refused(records, rejections) {
    for (const { index, reason } of rejections) this.#deadLetters.push({ record: records[index], reason });
  }
}

/** An operator, its state and timers, and what came out of it. */
export class Harness extends Base {
  #watermark = NO_WATERMARK;

  /** One call with these events on the first input. Timers that are due by then fire after it. */
  send(...records) {
    this.sendTo(0, ...records);
  }

  /** One call with these events on an input, by its index. */
  sendTo(input, ...records) {
    const columns = toColumns(records);
    const call = () => this.runner.process(input, this.#watermark, columns);
    this.refused(records, this.transaction(call, records.map(binaryEvent)));
    this.#fire();
  }

  /** Moves the watermark: fires the event-time timers that it makes due, then tells the operator if it wants that. */
  watermark(time) {
    if (time <= this.#watermark) return;
    this.#watermark = this.host.watermark = time;
    this.host.free();
    this.#fire();
    if (this.descriptor.wants.watermarks) this.transaction(() => this.runner.onWatermark(time));
  }

  /** Moves the clock: fires the processing-time timers that are due. */
  clock(now) {
    this.host.clock = now;
    this.host.free();
    this.#fire();
  }

  /** Ends the input: the last watermark, then `close`. */
  end() {
    this.watermark(END_OF_INPUT);
    this.transaction(() => this.runner.close());
  }

  #fire() {
    for (let due; (due = this.host.takeDue(this.#watermark)).length > 0; ) {
      const { domain, timer } = due[0];
      const [keys, times] = [pack(due.map((one) => one.key)), packTimes(due.map((one) => one.time))];
      try {
        const refused = this.transaction(() => this.runner.onTimers(timer, keys, times, this.#watermark), due);
        this.refused(due.map(({ key, time }) => recordOf({ key, value: '', time, headers: [] })), refused);
      } catch (error) {
        this.host.register(domain, timer, keys, times);
        throw error;
      }
    }
  }

  /** Takes what came out of a port since last asked. */
  output(port) {
    return this.host.takeEmitted(this.indexOf('outputs', port)).map(recordOf);
  }

  /** Timers waiting, earliest first: { domain, name, key, time }. */
  timers() {
    const name = (timer) => this.descriptor.timers[timer].name;
    return this.host.timers().map(({ domain, timer, key, time }) => ({ domain, name: name(timer), key: decodeUtf8(key), time }));
  }

  /** How many entries a state holds over all keys. */
  stateEntries(state) {
    return this.host.stateEntries(this.indexOf('states', state));
  }
}

/** A window aggregate over tumbling windows of so many ms; the harness keeps the accumulators, as the host does. */
export class AggregateHarness extends Base {
  #windowMs;
  #windows = new Map();
  #results = [];

  constructor(exported, config = {}, { windowMs = 1_000 } = {}) {
    super(exported, config);
    this.#windowMs = windowMs;
  }

  /** One call with these events: each folds into the accumulator of its key and window. */
  send(...records) {
    const events = records.map(binaryEvent);
    const places = [];
    const groups = events.map(({ key, time }) => {
      const start = Math.floor(time / this.#windowMs) * this.#windowMs;
      const place = `${start} ${key}`;
      if (!this.#windows.has(place)) this.#windows.set(place, { key, start, pieces: [null] });
      if (!places.includes(place)) places.push(place);
      return places.indexOf(place);
    });
    const windows = places.map((place) => this.#windows.get(place));
    const before = packOptional(windows.map(({ pieces }) => pieces.at(-1)));
    const done = this.transaction(() => this.runner.accumulate(columnsOf(events), packU32(groups), before));
    unpack(done.accumulators).forEach((binary, i) => windows[i].pieces.splice(-1, 1, binary));
    this.refused(records, done.rejections);
  }

  /** From here on events go into new accumulators, to be merged with the others: what the host does with panes. */
  split() {
    for (const { pieces } of this.#windows.values()) {
      const fresh = this.runner.accumulate(columnsOf([]), packU32([]), packOptional([null]));
      pieces.push(unpack(fresh.accumulators)[0]);
    }
  }

  /** Every window gives its result, in order of time and key; then `close`. */
  end() {
    const windows = [...this.#windows.values()].sort((a, b) => a.start - b.start || (a.key < b.key ? -1 : 1));
    const groups = windows.flatMap(({ pieces }, i) => pieces.map(() => i));
    const merged = this.transaction(() => this.runner.merge(packU32(groups), pack(windows.flatMap((w) => w.pieces))));
    const spans = windows.map(({ start }) => ({ start, end: start + this.#windowMs, firing: 0 }));
    const done = this.transaction(() => this.runner.finish(pack(windows.map((w) => w.key)), spans, merged));
    const windowOf = unpackU32(done.windowOf);
    eventsOf(done.rows).forEach((row, i) => {
      const window = windows[windowOf[i]];
      this.#results.push(recordOf({ ...row, key: row.key ?? window.key, time: window.start + this.#windowMs - 1 }));
    });
    this.#windows.clear();
    this.transaction(() => this.runner.close());
  }

  /** Takes the rows since last asked; their time is the last of their window. */
  results() {
    return this.#results.splice(0);
  }
}
