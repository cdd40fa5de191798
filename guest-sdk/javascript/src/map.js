// Map state: sub-keys with values, in order, per key. Each entry is read when first needed; a cleared key is known to be empty
// and asks the host nothing more. A scan merges what the host has with what this call wrote.

import { fromBinary } from './bytes.js';
import { json } from './codec.js';
import { pack, packOptional, unpack } from './columns.js';
import { Field } from './declare.js';
import { stateEntry } from './ttl.js';
import { cannotDecode, State } from './value.js';

/** What the call knows of one key. */
class Entries {
  known = new Map();
  dirty = new Map();

  constructor(cleared) {
    this.cleared = cleared;
  }
}

class MapState extends State {
  #subKey;
  #keys = new Map();

  constructor(call, name, index, subKey, codec) {
    super(call, name, index, codec);
    this.#subKey = subKey;
  }

  /** The value of a sub-key, or undefined. */
  get(subKey) {
    const kept = this.#kept(this.#subKey.encode(subKey));
    return kept === null ? undefined : this.give(kept);
  }

  /** Whether there is a value. */
  has(subKey) {
    return this.#kept(this.#subKey.encode(subKey)) !== null;
  }

  /** Sets the value of a sub-key. */
  set(subKey, value) {
    this.#write(this.#subKey.encode(subKey), this.keep(value));
  }

  /** Removes a sub-key. */
  delete(subKey) {
    this.#write(this.#subKey.encode(subKey), null);
  }

  /** Removes a sub-key and gives its value back, or undefined. */
  take(subKey) {
    const value = this.get(subKey);
    if (value !== undefined) this.delete(subKey);
    return value;
  }

  /** Replaces the value of a sub-key (undefined when there is none) by what `change` makes of it, and gives that back. */
  update(subKey, change) {
    const value = change(this.get(subKey));
    this.set(subKey, value);
    return value;
  }

  /** Removes every entry of the current key. */
  clear() {
    this.call.set(this.#keys, this.call.currentKey(this.name), new Entries(true));
  }

  /** The first `limit` entries with start <= sub-key < end, in order of their sub-keys; by default all. */
  entries({ start, end, limit = Infinity } = {}) {
    const found = [];
    if (limit <= 0) return found;
    const first = start === undefined ? undefined : this.#subKey.encode(start);
    const after = end === undefined ? undefined : this.#subKey.encode(end);
    for (const [sub, kept] of this.#merged(first, after, limit)) {
      let subKey;
      try {
        subKey = this.#subKey.decode(sub);
      } catch (error) {
        throw cannotDecode(this.name, error);
      }
      found.push([subKey, this.give(kept)]);
      if (found.length >= limit) break;
    }
    return found;
  }

  #entries() {
    const key = this.call.currentKey(this.name);
    let entries = this.#keys.get(key);
    if (entries === undefined) {
      entries = new Entries(false);
      this.#keys.set(key, entries);
    }
    return entries;
  }

  #kept(sub) {
    const entries = this.#entries();
    let kept = entries.known.get(sub);
    if (kept !== undefined) return kept;
    if (entries.cleared) return null;
    const columns = this.call.host.get(this.index, pack([this.call.currentKey(this.name)]), pack([sub]));
    kept = this.fromHost(unpack(columns)[0]);
    entries.known.set(sub, kept);
    return kept;
  }

  #write(sub, kept) {
    const entries = this.#entries();
    this.call.set(entries.known, sub, kept);
    if (!entries.dirty.has(sub)) this.call.set(entries.dirty, sub, true);
  }

  *#stored(start, end, limit) {
    const bytes = (binary) => (binary === undefined ? undefined : fromBinary(binary));
    const range = { key: fromBinary(this.call.currentKey(this.name)), start: bytes(start), end: bytes(end) };
    let cursor;
    do {
      const page = this.call.host.scan(this.index, range, limit, cursor);
      const [subs, values] = [unpack(page.subkeys), unpack(page.values)];
      for (let i = 0; i < subs.length; i++) yield [subs[i], values[i]];
      cursor = page.cursor ?? undefined;
    } while (cursor !== undefined);
  }

  *#merged(start, end, limit) {
    const { known, dirty, cleared } = this.#entries();
    const within = (sub) => (start === undefined || start <= sub) && (end === undefined || sub < end);
    const written = [...dirty.keys()].filter(within).sort(byBytes);
    let next = 0;
    for (const [sub, binary] of cleared ? [] : this.#stored(start, end, limit < 1024 ? limit : 0)) {
      for (; next < written.length && written[next] < sub; next++) {
        if (known.get(written[next]) !== null) yield [written[next], known.get(written[next])];
      }
      if (written[next] !== sub) {
        yield [sub, this.fromHost(binary)];
        continue;
      }
      if (known.get(sub) !== null) yield [sub, known.get(sub)];
      next++;
    }
    for (; next < written.length; next++) {
      if (known.get(written[next]) !== null) yield [written[next], known.get(written[next])];
    }
  }

  writeBack() {
    const cleared = [];
    const [keys, subs, values] = [[], [], []];
    for (const [key, entries] of this.#keys) {
      if (entries.cleared) cleared.push(key);
      for (const sub of entries.dirty.keys()) {
        keys.push(key);
        subs.push(sub);
        values.push(this.toHost(entries.known.get(sub)));
      }
    }
    if (cleared.length) this.call.host.clear(this.index, pack(cleared));
    if (keys.length) this.call.host.put(this.index, pack(keys), pack(subs), packOptional(values));
    this.drop();
  }

  drop() {
    this.#keys.clear();
  }
}

function byBytes(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Any number of values by sub-key for the current key: `days: map(integerKey, json)`. */
export function map(subKey, codec = json, { name, ...lasting } = {}) {
  const open = (call, known, index) => new MapState(call, known, index, subKey, codec);
  return new Field('states', stateEntry('map', lasting), name, open);
}
