// The call in progress: its events, which one is being handled, and how to undo what that one did. runner.js begins and ends
// it; every handle of the operator shares it.
//
// 1. Nothing of a call reaches the host before the events that caused it have succeeded.
// 2. Every effect is an entry of a Map or the end of an array, and the undo log holds what was there before, so undoing an
//    event is one loop, whatever it did.
// 3. Between calls every part is empty: an instance may be replaced there.

import { Fatal, Reject } from './errors.js';

/** Greatest magnitude of a time, ms. */
export const TIME_LIMIT_MS = Number.MAX_SAFE_INTEGER;

const ABSENT = Symbol('absent');

export class Call {
  /** What collects effects: states, timers, ports, metrics; each with writeBack() and drop(). */
  parts = [];
  /** Ports that hold so much that they are emitted between two events. */
  full = new Set();
  /** Triples: a Map, a key, what was there; or null, an array, its length. */
  undoLog = [];
  /** The event in progress: its index, key (a binary string) and time. */
  index = null;
  key = null;
  time = null;
  #keys = [];
  #distinct = null;

  constructor(host) {
    this.host = host;
  }

  /** Begins a call about events or timers of these keys. */
  begin(keys = []) {
    this.#keys = keys;
    this.#distinct = null;
    this.index = this.key = this.time = null;
  }

  /** Ends the call well. */
  writeBack() {
    for (const part of this.parts) part.writeBack();
    this.#end();
  }

  /** Ends the call badly: nothing of it stays. */
  drop() {
    for (const part of this.parts) part.drop();
    this.#end();
  }

  #end() {
    this.undoLog.length = 0;
    this.full.clear();
    this.begin();
  }

  /** Handles event 0, 1, ...: what one did stays unless it throws Reject. Anything else thrown ends the call. */
  each(keys, times, handle) {
    const refused = [];
    const { undoLog, full } = this;
    for (let i = 0; i < keys.length; i++) {
      this.index = i;
      this.key = keys[i];
      this.time = times[i];
      try {
        handle(i);
      } catch (error) {
        if (!(error instanceof Reject)) throw error;
        this.undo();
        refused.push({ index: i, reason: error.message });
        continue;
      }
      undoLog.length = 0;
      if (full.size) {
        for (const part of full) part.writeBack();
        full.clear();
      }
    }
    this.index = this.key = this.time = null;
    return refused;
  }

  /** Undoes what the event in progress did. */
  undo() {
    const log = this.undoLog;
    while (log.length) {
      const old = log.pop();
      const key = log.pop();
      const map = log.pop();
      if (map === null) key.length = old;
      else if (old === ABSENT) map.delete(key);
      else map.set(key, old);
    }
  }

  /** Sets a Map's entry so that it can be undone. */
  set(map, key, value) {
    const old = map.get(key);
    this.undoLog.push(map, key, old === undefined && !map.has(key) ? ABSENT : old);
    map.set(key, value);
  }

  /** Appends to an array so that it can be undone. */
  append(items, item) {
    this.undoLog.push(null, items, items.length);
    items.push(item);
  }

  /** The distinct keys of the call, in order of appearance. */
  distinctKeys() {
    if (this.#distinct === null) {
      const distinct = new Set(this.#keys);
      distinct.delete(null);
      this.#distinct = [...distinct];
    }
    return this.#distinct;
  }

  /** The key in progress, for a state or timer of this name. */
  currentKey(what) {
    if (this.key !== null) return this.key;
    if (this.index === null) {
      throw new Fatal(
        `${what}: no event is in progress, so there is no key; use keyed state and timers within process or onTimer`,
      );
    }
    throw new Reject(`${what}: the event has no key; give the source or the upstream operator one`);
  }

  /** The time of the event or timer in progress. */
  currentTime(what) {
    if (this.time !== null) return this.time;
    throw new Fatal(`${what}: no event is in progress to take the time from; give the time as { at }`);
  }
}

/** Refuses what is no time. */
export function checkedTime(time, what) {
  if (Number.isSafeInteger(time)) return time;
  if (typeof time !== 'number' || !Number.isInteger(time)) {
    throw new TypeError(`${what}: ${String(time)} is no time: whole milliseconds since 1970 are needed`);
  }
  throw new Reject(`${what}: ${time} ms is no time within +-(2^53 - 1)`);
}
