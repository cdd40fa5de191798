// Timers: registered and taken back for the current key, in one request per call; and the timer that fires.

import { decodeUtf8, fromBinary } from './bytes.js';
import { checkedTime } from './call.js';
import { pack, packTimes } from './columns.js';
import { Field } from './declare.js';
import { Reject } from './errors.js';

export const EVENT_TIME = 'event-time';
export const PROCESSING_TIME = 'processing-time';

export class TimerHandle {
  #call;
  #domain;
  #index;
  // The last operation on each key and time counts.
  #operations = new Map();

  constructor(call, name, index, domain) {
    this.#call = call;
    this.#index = index;
    this.#domain = domain;
    this.name = name;
  }

  /** Registers it for the current key. A time that is already due fires right after the call. */
  register(time) {
    this.#set(time, true);
  }

  /** Takes it back. */
  cancel(time) {
    this.#set(time, false);
  }

  /** Registers it for the current key, so many ms from now, and says for when. For the processing-time clock. */
  registerIn(ms) {
    const time = this.#call.host.nowMs() + ms;
    this.register(time);
    return time;
  }

  #set(time, register) {
    checkedTime(time, `timer \`${this.name}\``);
    const key = this.#call.currentKey(this.name);
    this.#call.set(this.#operations, `${time} ${key}`, { key, time, register });
  }

  writeBack() {
    if (this.#operations.size) {
      const all = [...this.#operations.values()];
      const send = (wanted, call) => {
        const chosen = all.filter((operation) => operation.register === wanted);
        const times = packTimes(chosen.map((operation) => operation.time));
        if (chosen.length) call(this.#domain, this.#index, pack(chosen.map((operation) => operation.key)), times);
      };
      send(false, this.#call.host.cancel);
      send(true, this.#call.host.register);
    }
    this.drop();
  }

  drop() {
    this.#operations.clear();
  }
}

function timer(domain, name) {
  return new Field('timers', {}, name, (call, known, index) => new TimerHandle(call, known, index, domain));
}

/** Fires for a key when the operator's watermark reaches its time. */
export function eventTimer({ name } = {}) {
  return timer(EVENT_TIME, name);
}

/** Fires for a key when the clock reaches its time. */
export function processingTimer({ name } = {}) {
  return timer(PROCESSING_TIME, name);
}

/** A timer that is due. */
export class Timer {
  #key;

  constructor(key, time, source, watermark) {
    this.#key = key;
    /** The time that it was registered for, ms. */
    this.time = time;
    /** The handle that it was registered with: `if (timer.source === op.dayEnd)`. */
    this.source = source;
    /** The operator's watermark, ms. */
    this.watermark = watermark;
  }

  /** The key that it was registered for. */
  get key() {
    return fromBinary(this.#key);
  }

  /** The name of its handle. */
  get name() {
    return this.source.name;
  }

  /** Its key as text; refuses the timer if that is not what it is. */
  keyText() {
    try {
      return decodeUtf8(this.#key);
    } catch (error) {
      throw new Reject(`the timer's key is not UTF-8 text: ${error.message}`);
    }
  }
}
