// Value state: one value per key, a write-back cache of one call. The first read in a call fetches the value of every key of
// the batch in one request; everything written goes to the host in one request at the end.

import { pack, packOptional, unpack } from './columns.js';
import { json } from './codec.js';
import { Field } from './declare.js';
import { describeError, Fatal } from './errors.js';
import { stateEntry } from './ttl.js';

/** Stored bytes that are no such value are never an event's fault: the operator changed, or the codec did. */
export function cannotDecode(state, error) {
  return new Fatal(
    `state \`${state}\`: what is stored cannot be read as the declared type: ${describeError(error)}; rename the state to start ` +
      'it empty, or go back to the version of the operator that wrote it',
  );
}

/** What the kinds of keyed state share: a codec, and errors that name the state. */
export class State {
  constructor(call, name, index, codec) {
    this.call = call;
    this.name = name;
    this.index = index;
    this.codec = codec;
  }

  encode(value) {
    try {
      return this.codec.encode(value);
    } catch (error) {
      throw new Fatal(`state \`${this.name}\`: the value cannot be encoded: ${describeError(error)}`);
    }
  }

  decode(binary) {
    try {
      return this.codec.decode(binary);
    } catch (error) {
      throw cannotDecode(this.name, error);
    }
  }

  // Within a call a plain value is kept as it is, any other as its bytes; null = nothing stored.

  keep(value) {
    if (value === null || value === undefined) {
      throw new Fatal(`state \`${this.name}\`: ${value} cannot be stored; removing has methods of its own`);
    }
    return this.codec.plain ? value : this.encode(value);
  }

  give(kept) {
    return this.codec.plain ? kept : this.decode(kept);
  }

  fromHost(binary) {
    return binary !== null && this.codec.plain ? this.decode(binary) : binary;
  }

  toHost(kept) {
    return kept !== null && this.codec.plain ? this.encode(kept) : kept;
  }
}

class Value extends State {
  #initial;
  #known = new Map();
  #dirty = new Map();

  constructor(call, name, index, codec, initial) {
    super(call, name, index, codec);
    this.#initial = initial;
  }

  /** The value, or the initial one. */
  get() {
    const kept = this.#kept();
    if (kept === null) return typeof this.#initial === 'function' ? this.#initial() : this.#initial;
    return this.give(kept);
  }

  /** Sets the value. */
  set(value) {
    this.#write(this.keep(value));
  }

  /** Removes the value. */
  clear() {
    this.#write(null);
  }

  /** Removes the value and gives it back, or the initial one. */
  take() {
    const value = this.get();
    if (this.#kept() !== null) this.clear();
    return value;
  }

  /** Replaces the value (or the initial one) by what `change` makes of it, and gives that back. */
  update(change) {
    const value = change(this.get());
    this.set(value);
    return value;
  }

  #kept() {
    let kept = this.#known.get(this.call.key);
    if (kept === undefined) {
      this.#fetch();
      kept = this.#known.get(this.call.key);
    }
    return kept;
  }

  #write(kept) {
    const key = this.call.currentKey(this.name);
    this.call.set(this.#known, key, kept);
    if (!this.#dirty.has(key)) this.call.set(this.#dirty, key, true);
  }

  #fetch() {
    this.call.currentKey(this.name);
    const unknown = this.call.distinctKeys().filter((key) => !this.#known.has(key));
    const values = unpack(this.call.host.get(this.index, pack(unknown), undefined));
    for (let i = 0; i < unknown.length; i++) this.#known.set(unknown[i], this.fromHost(values[i]));
  }

  writeBack() {
    if (this.#dirty.size) {
      const keys = [...this.#dirty.keys()];
      const values = keys.map((key) => this.toHost(this.#known.get(key)));
      this.call.host.put(this.index, pack(keys), undefined, packOptional(values));
    }
    this.drop();
  }

  drop() {
    this.#known.clear();
    this.#dirty.clear();
  }
}

/** One value for the current key: `seen: value(number, { initial: 0 })`. An initial that is a function is called each time. */
export function value(codec = json, { initial, name, ...lasting } = {}) {
  const open = (call, known, index) => new Value(call, known, index, codec, initial);
  return new Field('states', stateEntry('value', lasting), name, open);
}

/** Value state that folds what is added. */
class Folding {
  #value;
  #fold;
  #result;

  constructor(state, fold, result) {
    this.#value = state;
    this.#fold = fold;
    this.#result = result;
  }

  /** Folds one in. */
  add(one) {
    this.#value.set(this.#fold(this.#value.get(), one));
  }

  /** The result so far; undefined when nothing was added. */
  get() {
    const kept = this.#value.get();
    return kept === undefined ? undefined : this.#result(kept);
  }

  /** Starts anew. */
  clear() {
    this.#value.clear();
  }

  writeBack() {
    this.#value.writeBack();
  }

  drop() {
    this.#value.drop();
  }
}

function folding(codec, fold, result, { name, ...lasting }) {
  const open = (call, known, index) => new Folding(new Value(call, known, index, codec, undefined), fold, result);
  return new Field('states', stateEntry('value', lasting), name, open);
}

/** What was added for the current key, folded into one of its kind: `highest: reducing(number, Math.max)`. */
export function reducing(codec, reduce, options = {}) {
  return folding(codec, (kept, one) => (kept === undefined ? one : reduce(kept, one)), (kept) => kept, options);
}

/** A fold whose accumulator, kept with this codec, is neither what goes in nor what comes out. */
export function aggregating(codec, { start, add, result }, options = {}) {
  return folding(codec, (kept, one) => add(kept === undefined ? start() : kept, one), result, options);
}
