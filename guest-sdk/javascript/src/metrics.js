// Metrics: counted during the call, undone with a refused event, handed to the host once per call.

import { show } from './bytes.js';
import { Field } from './declare.js';

class Counter {
  #call;
  #index;
  #sum = new Map();

  constructor(call, name, index) {
    this.#call = call;
    this.#index = index;
    this.name = name;
  }

  /** Adds to it. */
  add(amount = 1) {
    if (!Number.isSafeInteger(amount) || amount < 0) {
      throw new RangeError(`metric \`${this.name}\`: a counter grows by whole numbers, not by ${show(amount)}`);
    }
    const sum = (this.#sum.get(0) ?? 0) + amount;
    this.#call.set(this.#sum, 0, Math.min(sum, Number.MAX_SAFE_INTEGER));
  }

  writeBack() {
    if (this.#sum.size) this.#call.host.add(this.#index, this.#sum.get(0));
    this.drop();
  }

  drop() {
    this.#sum.clear();
  }
}

class Gauge {
  #call;
  #index;
  #value = new Map();

  constructor(call, name, index) {
    this.#call = call;
    this.#index = index;
    this.name = name;
  }

  /** Sets it. */
  set(value) {
    this.#call.set(this.#value, 0, Number(value));
  }

  writeBack() {
    if (this.#value.size) this.#call.host.set(this.#index, this.#value.get(0));
    this.drop();
  }

  drop() {
    this.#value.clear();
  }
}

class Histogram {
  #call;
  #index;
  #values = [];

  constructor(call, name, index) {
    this.#call = call;
    this.#index = index;
    this.name = name;
  }

  /** Notes a value. */
  observe(value) {
    this.#call.append(this.#values, Number(value));
  }

  writeBack() {
    if (this.#values.length) this.#call.host.observe(this.#index, this.#values);
    this.drop();
  }

  drop() {
    this.#values = [];
  }
}

function metric(kind, Handle) {
  return ({ name } = {}) =>
    new Field('metrics', { kind }, name, (call, known, index) => new Handle(call, known, index));
}

/** Only grows. */
export const counter = metric('counter', Counter);
/** The last value set. */
export const gauge = metric('gauge', Gauge);
/** A distribution of values. */
export const histogram = metric('histogram', Histogram);

/** A named input, for operators with several: `event.isFrom(op.orders)`. */
export function input({ name } = {}) {
  return new Field('inputs', {}, name, (call, known, index) => ({ name: known, index }));
}
