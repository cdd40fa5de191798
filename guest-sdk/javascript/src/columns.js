// Columns as they cross the boundary (wit/README.md): bytes end to end and little-endian buffers, from and to arrays of binary
// strings and numbers.

import { fromBinary, toBinary } from './bytes.js';

const NO_BYTES = new Uint8Array(0);
const TWO_32 = 4294967296;

/** A typed array over a buffer's bytes. */
function view(Kind, bytes) {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Kind(aligned.buffer, aligned.byteOffset, aligned.length >> 2);
}

export function unpackU32(bytes) {
  return view(Uint32Array, bytes);
}

export function packU32(numbers) {
  return new Uint8Array(Uint32Array.from(numbers).buffer);
}

/** Numbers are exact: every time is within +-(2^53 - 1). */
export function unpackTimes(bytes) {
  const low = view(Uint32Array, bytes);
  const high = new Int32Array(low.buffer, low.byteOffset, low.length);
  const times = new Array(low.length >> 1);
  for (let i = 0; i < times.length; i++) times[i] = high[2 * i + 1] * TWO_32 + low[2 * i];
  return times;
}

export function packTimes(times) {
  const words = new Uint32Array(times.length * 2);
  for (let i = 0; i < times.length; i++) {
    words[2 * i] = times[i];
    words[2 * i + 1] = Math.floor(times[i] / TWO_32);
  }
  return new Uint8Array(words.buffer);
}

/** Columns of binary strings, none null. */
export function pack(values) {
  const ends = new Uint32Array(values.length);
  let end = 0;
  for (let i = 0; i < values.length; i++) ends[i] = end += values[i].length;
  return { data: fromBinary(values.join('')), ends: new Uint8Array(ends.buffer) };
}

/** Columns of binary strings; null = absent. */
export function packOptional(values) {
  if (!values.includes(null)) return { ...pack(values), present: NO_BYTES };
  const present = Uint8Array.from(values, (value) => (value === null ? 0 : 1));
  return { ...pack(values.map((value) => value ?? '')), present };
}

/** The binary strings of columns or optional columns. */
export function unpack({ data, ends, present }) {
  return slices(toBinary(data), ends, present);
}

/** The same, of bytes that are a binary string already. */
export function slices(binary, ends, present) {
  const stops = unpackU32(ends);
  const values = new Array(stops.length);
  let start = 0;
  for (let i = 0; i < values.length; i++) values[i] = binary.slice(start, (start = stops[i]));
  if (present && present.length) for (let i = 0; i < values.length; i++) if (!present[i]) values[i] = null;
  return values;
}

export const NO_EVENTS = Object.freeze({
  timestamps: NO_BYTES,
  keys: { data: NO_BYTES, ends: NO_BYTES, present: NO_BYTES },
  values: { data: NO_BYTES, ends: NO_BYTES, present: NO_BYTES },
  headers: NO_BYTES,
});
