// The events of one call as the operator sees them. runner.js makes a Batch; the operator gets its events one by one or works
// on its columns.

import { decodeUtf8, fromBinary, isAscii, toBinary } from './bytes.js';
import { slices, unpackTimes } from './columns.js';
import { Reject } from './errors.js';
import { decodeAll } from './headers.js';

/** One event. Times are ms since 1970. */
export class Event {
  #batch;
  #key;
  #value;

  constructor(batch, index, timestamp) {
    this.#batch = batch;
    /** Its index in the batch. */
    this.index = index;
    /** Its event time. */
    this.timestamp = timestamp;
  }

  /** Its routing key as a Uint8Array, or null. */
  get key() {
    this.#key ??= bytesOf(this.#batch.binaryKeys[this.index]);
    return this.#key;
  }

  /** Its payload as a Uint8Array; null is a tombstone. */
  get value() {
    this.#value ??= bytesOf(this.#batch.binaryValues[this.index]);
    return this.#value;
  }

  /** The operator's watermark when it came. An event at or below it is late. */
  get watermark() {
    return this.#batch.watermark;
  }

  /** Names and values, in order; a name may come twice. */
  get headers() {
    return this.#batch.headers[this.index];
  }

  /** The first header of this name. */
  header(name) {
    return this.headers.find(([known]) => known === name)?.[1];
  }

  /** Whether it came from this input. */
  isFrom(input) {
    return this.#batch.input === input.index;
  }

  /** Its key as text; refuses the event if that is not what it is. */
  keyText() {
    return textOf(this.#batch.binaryKeys[this.index], this.#batch.keysAreAscii, 'key');
  }

  /** Its payload as text; refuses the event if that is not what it is. */
  text() {
    return textOf(this.#batch.binaryValues[this.index], this.#batch.valuesAreAscii, 'value');
  }

  /** Its payload parsed as JSON; refuses the event if that fails. */
  json() {
    if (this.#batch.binaryValues[this.index] === null) {
      throw new Reject('the event has no value (a tombstone); JSON is needed');
    }
    const text = this.text();
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new Reject(`the value is not the JSON that is needed: ${error.message}`);
    }
  }

  /** Key and value as binary strings, for ports. */
  get binary() {
    return [this.#batch.binaryKeys[this.index], this.#batch.binaryValues[this.index]];
  }
}

function bytesOf(binary) {
  return binary === null ? null : fromBinary(binary);
}

function textOf(binary, known, what) {
  if (binary === null) throw new Reject(`the event has no ${what}; text is needed`);
  if (known) return binary;
  try {
    return decodeUtf8(binary);
  } catch (error) {
    throw new Reject(`the ${what} is not UTF-8 text: ${error.message}`);
  }
}

/** The events of one call, as arrays of equal length. What nobody asks for is not unpacked. */
export class Batch {
  #call;
  #timestamps;
  #headers;
  #keys;
  #values;
  #keyBytes;
  #valueBytes;

  constructor(call, columns, input, watermark) {
    this.#call = call;
    this.columns = columns;
    /** Index of the input that they came from. */
    this.input = input;
    /** The operator's watermark before this batch. */
    this.watermark = watermark;
    this.length = columns.timestamps.length / 8;
  }

  /** Times, ms. */
  get timestamps() {
    return (this.#timestamps ??= unpackTimes(this.columns.timestamps));
  }

  /** Keys, Uint8Array or null. */
  get keys() {
    return (this.#keyBytes ??= this.binaryKeys.map(bytesOf));
  }

  /** Values, Uint8Array or null. */
  get values() {
    return (this.#valueBytes ??= this.binaryValues.map(bytesOf));
  }

  /** Headers of each event. */
  get headers() {
    return (this.#headers ??= decodeAll(this.columns.headers, this.length));
  }

  get binaryKeys() {
    return (this.#keys ??= new Column(this.columns.keys)).binary;
  }

  get binaryValues() {
    return (this.#values ??= new Column(this.columns.values)).binary;
  }

  get keysAreAscii() {
    return (this.#keys ??= new Column(this.columns.keys)).isAscii;
  }

  get valuesAreAscii() {
    return (this.#values ??= new Column(this.columns.values)).isAscii;
  }

  /**
   * Hands the events over one by one, each a transaction of its own: one that throws Reject leaves nothing behind and is in
   * the result, as { index, reason }.
   */
  each(handle) {
    const { timestamps } = this;
    return this.#call.each(this.binaryKeys, timestamps, (i) => handle(new Event(this, i, timestamps[i])));
  }
}

/** A column as binary strings; whether it is plain ASCII is found out once, when first asked. */
class Column {
  #whole;
  #isAscii;

  constructor({ data, ends, present }) {
    this.#whole = toBinary(data);
    this.binary = slices(this.#whole, ends, present);
  }

  get isAscii() {
    return (this.#isAscii ??= isAscii(this.#whole));
  }
}
