// Drives a window aggregate: folds events into accumulators, merges those, makes rows of them. The host keeps windows and
// accumulators.

import { asBinary, decodeUtf8, fromBinary } from './bytes.js';
import { json } from './codec.js';
import { pack, packU32, unpack, unpackU32 } from './columns.js';
import { describe, fieldsOf } from './declare.js';
import { describeError, Fatal, Reject } from './errors.js';
import { Batch } from './event.js';
import { binaryHeaders, columnsOf, jsonBinary } from './output.js';
import { Session } from './runner.js';

/** A window [start, end) of a key, and how often it gave results before. */
class Window {
  #key;

  constructor(key, { start, end, firing }) {
    this.#key = key;
    this.start = start;
    this.end = end;
    this.firing = firing;
  }

  /** Its key. */
  get key() {
    return fromBinary(this.#key);
  }

  /** Its key as text. */
  keyText() {
    return decodeUtf8(this.#key);
  }
}

/** Takes the rows that windows give. The host sets their times; without a key of their own they have the window's. */
class Rows {
  events = [];
  windowOf = [];
  window = 0;

  /** Emits a row. */
  emit(value, { key, headers } = {}) {
    this.#emit(asBinary(value, 'the value'), key, headers);
  }

  /** Emits a row with JSON as its value. */
  emitJson(value, { key, headers } = {}) {
    this.#emit(jsonBinary(value, 'a row'), key, headers);
  }

  #emit(value, key, headers = []) {
    this.events.push({ time: 0, key: asBinary(key, 'the key'), value, headers: binaryHeaders(headers, 'a row') });
    this.windowOf.push(this.window);
  }
}

/** No watermark has come yet; aggregates are not told of any. */
const NO_WATERMARK = -(2 ** 63);

export class AggregateRunner extends Session {
  #codec = this.definition.accumulator ?? json;

  static describe(definition) {
    for (const [attribute, , field] of fieldsOf(definition)) {
      if (field.section !== 'metrics') {
        throw new Fatal(
          `window aggregate \`${definition.name}\` declares \`${attribute}\`; the host keeps its windows and accumulators and ` +
            'gives its rows out: only metrics may be declared',
        );
      }
    }
    return { ...describe(definition, false), outputs: [{ name: 'results' }] };
  }

  accumulate(columns, groupColumn, accumulators) {
    const batch = new Batch(this.call, columns, 0, NO_WATERMARK);
    this.call.begin(batch.binaryKeys);
    return this.guarded(() => this.#accumulate(batch, unpackU32(groupColumn), unpack(accumulators)));
  }

  #accumulate(batch, groups, before) {
    const now = before.map((binary) => this.#read(binary));
    // The bytes of accumulators that a refused event may have changed, after each event since.
    const kept = new Map();
    const done = [];
    const rejections = batch.each((event) => {
      const group = groups[event.index];
      try {
        now[group] = this.#add(now[group], event);
      } catch (error) {
        if (error instanceof Reject && !this.#codec.plain) {
          if (!kept.has(group)) {
            const earlier = done.filter((other) => groups[other.index] === group);
            const again = earlier.reduce((accumulator, other) => this.#add(accumulator, other), this.#read(before[group]));
            kept.set(group, this.#write(again));
          }
          now[group] = this.#read(kept.get(group));
        }
        throw error;
      }
      done.push(event);
      if (kept.has(group)) kept.set(group, this.#write(now[group]));
    });
    return { accumulators: pack(now.map((accumulator) => this.#write(accumulator))), rejections };
  }

  merge(groupColumn, accumulators) {
    this.call.begin();
    return this.guarded(() => {
      const groups = unpackU32(groupColumn);
      const merged = [];
      unpack(accumulators).forEach((binary, i) => {
        const [group, one] = [groups[i], this.#read(binary)];
        merged[group] = group in merged ? this.#result(this.definition.merge(merged[group], one, this.handles), merged[group]) : one;
      });
      return pack(merged.map((accumulator) => this.#write(accumulator)));
    });
  }

  finish(keys, windows, accumulators) {
    this.call.begin();
    return this.guarded(() => {
      const [names, all, rows] = [unpack(keys), unpack(accumulators), new Rows()];
      windows.forEach((window, i) => {
        rows.window = i;
        this.definition.finish(new Window(names[i], window), this.#read(all[i]), rows, this.handles);
      });
      return { rows: columnsOf(rows.events), windowOf: packU32(rows.windowOf) };
    });
  }

  #add(accumulator, event) {
    return this.#result(this.definition.add(accumulator, event, this.handles), accumulator);
  }

  #result(result, changed) {
    if (result !== undefined) return result;
    if (this.#codec.plain) {
      throw new TypeError('add and merge have to return the new accumulator, which cannot be changed in place');
    }
    return changed;
  }

  #read(binary) {
    if (binary === null) return this.definition.start(this.handles);
    try {
      return this.#codec.decode(binary);
    } catch (error) {
      throw new Fatal(`an accumulator cannot be read as the declared type: ${describeError(error)}`);
    }
  }

  #write(accumulator) {
    try {
      return this.#codec.encode(accumulator);
    } catch (error) {
      throw new Fatal(`an accumulator cannot be encoded: ${describeError(error)}`);
    }
  }
}
