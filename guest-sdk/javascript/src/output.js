// Output ports: each is emitted once per call, or in pieces of EMIT_BYTES between two events when there is much.

import { asBinary, encodeUtf8, fromBinary } from './bytes.js';
import { checkedTime } from './call.js';
import { packOptional, packTimes } from './columns.js';
import { Field } from './declare.js';
import { describeError, Fatal, Reject } from './errors.js';
import { encode, HEADERS_PER_EVENT_MAX } from './headers.js';

/** A port is emitted between two events once it holds this many bytes. */
const EMIT_BYTES = 256 * 1024;
const NO_HEADERS = [];

/** Events as columns. */
export function columnsOf(events) {
  const headers = events.some((event) => event.headers.length > 0) ? events.map((e) => encode(e.headers)).join('') : '';
  return {
    timestamps: packTimes(events.map((event) => event.time)),
    keys: packOptional(events.map((event) => event.key)),
    values: packOptional(events.map((event) => event.value)),
    headers: fromBinary(headers),
  };
}

/** Headers as given: [name, text or bytes]. */
export function binaryHeaders(headers, what) {
  if (headers.length > HEADERS_PER_EVENT_MAX) {
    throw new Reject(`${what}: ${headers.length} headers on one event, at most ${HEADERS_PER_EVENT_MAX}`);
  }
  return headers.map(([name, value]) => [name, asBinary(value, 'a header') ?? '']);
}

/** A value as JSON, in UTF-8. */
export function jsonBinary(value, what) {
  let text;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    throw new Fatal(`${what}: the value cannot be written as JSON: ${describeError(error)}`);
  }
  if (text === undefined) throw new Fatal(`${what}: the value cannot be written as JSON: it is ${typeof value}`);
  return encodeUtf8(text);
}

class Output {
  #call;
  #index;
  #events = [];
  #bytes = 0;

  constructor(call, name, index) {
    this.#call = call;
    this.#index = index;
    this.name = name;
  }

  /** Emits an event; its time is that of the event or timer in progress, unless given as { at }. */
  emit(key, value, { at, headers } = {}) {
    this.#emit(asBinary(key, 'the key'), asBinary(value, 'the value'), at, headers);
  }

  /** Emits an event with JSON as its value. */
  emitJson(key, value, { at, headers } = {}) {
    this.#emit(asBinary(key, 'the key'), jsonBinary(value, `port \`${this.name}\``), at, headers);
  }

  /** Emits an event as it came: time, key, value and headers. */
  forward(event) {
    const [key, value] = event.binary;
    this.#emit(key, value, event.timestamp, event.headers);
  }

  /**
   * Emits all events of a batch as they came, without looking at them. For `processBatch`; it cannot be undone for one event,
   * so it is refused while one is in progress.
   */
  forwardBatch(batch) {
    if (this.#call.index !== null) throw new Fatal(`port \`${this.name}\`: forwardBatch within an event; use forward`);
    this.writeBack();
    if (batch.length) this.#call.host.emit(this.#index, batch.columns);
  }

  #emit(key, value, at, headers) {
    const time = checkedTime(at ?? this.#call.currentTime(this.name), `port \`${this.name}\``);
    const named = headers?.length ? binaryHeaders(headers, `port \`${this.name}\``) : NO_HEADERS;
    this.#call.append(this.#events, { time, key, value, headers: named });
    this.#bytes += 16 + (key?.length ?? 0) + (value?.length ?? 0);
    if (this.#bytes >= EMIT_BYTES) this.#call.full.add(this);
  }

  writeBack() {
    if (this.#events.length) this.#call.host.emit(this.#index, columnsOf(this.#events));
    this.drop();
  }

  drop() {
    this.#events.length = 0;
    this.#bytes = 0;
  }
}

/** An output port. */
export function output({ name } = {}) {
  return new Field('outputs', {}, name, (call, known, index) => new Output(call, known, index));
}

