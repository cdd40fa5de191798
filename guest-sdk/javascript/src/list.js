// List state: values appended per key. Appends of a call are sent in one request; reading puts them after what the host has.

import { fromBinary } from './bytes.js';
import { json } from './codec.js';
import { pack, unpack } from './columns.js';
import { Field } from './declare.js';
import { stateEntry } from './ttl.js';
import { State } from './value.js';

/** What the call knows of one key. */
class Items {
  appended = [];

  constructor(cleared) {
    this.cleared = cleared;
    this.stored = cleared ? [] : null;
  }
}

class ListState extends State {
  #keys = new Map();

  /** Appends values. */
  push(...values) {
    const { appended } = this.#items();
    for (const value of values) this.call.append(appended, this.encode(value));
  }

  /** All values, in the order in which they were appended. */
  get() {
    const items = this.#items();
    items.stored ??= this.#stored();
    return [...items.stored, ...items.appended].map((binary) => this.decode(binary));
  }

  /** Removes all values. */
  clear() {
    this.call.set(this.#keys, this.call.currentKey(this.name), new Items(true));
  }

  /** Removes all values and gives them back. */
  take() {
    const values = this.get();
    this.clear();
    return values;
  }

  /** Replaces all values. */
  set(values) {
    this.clear();
    this.push(...values);
  }

  #items() {
    const key = this.call.currentKey(this.name);
    let items = this.#keys.get(key);
    if (items === undefined) {
      items = new Items(false);
      this.#keys.set(key, items);
    }
    return items;
  }

  #stored() {
    const range = { key: fromBinary(this.call.currentKey(this.name)), start: undefined, end: undefined };
    const stored = [];
    let cursor;
    do {
      const page = this.call.host.scan(this.index, range, 0, cursor);
      for (const value of unpack(page.values)) stored.push(value);
      cursor = page.cursor ?? undefined;
    } while (cursor !== undefined);
    return stored;
  }

  writeBack() {
    const [cleared, keys, values] = [[], [], []];
    for (const [key, items] of this.#keys) {
      if (items.cleared) cleared.push(key);
      for (const value of items.appended) {
        keys.push(key);
        values.push(value);
      }
    }
    if (cleared.length) this.call.host.clear(this.index, pack(cleared));
    if (keys.length) this.call.host.append(this.index, pack(keys), pack(values));
    this.drop();
  }

  drop() {
    this.#keys.clear();
  }
}

/** Values appended for the current key: `orders: list(json)`. */
export function list(codec = json, { name, ...lasting } = {}) {
  const open = (call, known, index) => new ListState(call, known, index, codec);
  return new Field('states', stateEntry('list', lasting), name, open);
}
