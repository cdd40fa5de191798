// The headers column of a batch (wit/README.md): one entry per event, or nothing when no event has any.

import { decodeUtf8, encodeUtf8, fromBinary, toBinary } from './bytes.js';

/** Most headers of one event. */
export const HEADERS_PER_EVENT_MAX = 1024;

function u32(number) {
  return String.fromCharCode(number & 255, (number >>> 8) & 255, (number >>> 16) & 255, number >>> 24);
}

function readU32(binary, at) {
  const byte = (i) => binary.charCodeAt(at + i);
  return (byte(0) | (byte(1) << 8) | (byte(2) << 16) | (byte(3) << 24)) >>> 0;
}

/** One event's entry as a binary string; headers are [name, binary string]. */
export function encode(headers) {
  let entry = u32(headers.length);
  for (const [name, value] of headers) {
    const text = encodeUtf8(name);
    entry += u32(text.length) + text + u32(value.length) + value;
  }
  return entry;
}

/** The headers of each of so many events, as [name, Uint8Array]; the host has checked the column. */
export function decodeAll(column, events) {
  const binary = toBinary(column);
  const all = [];
  let at = 0;
  const piece = () => {
    const start = at + 4;
    at = start + readU32(binary, at);
    return binary.slice(start, at);
  };
  for (let i = 0; i < events; i++) {
    const headers = [];
    if (binary) {
      const count = readU32(binary, at);
      at += 4;
      for (let n = 0; n < count; n++) headers.push([decodeUtf8(piece()), fromBinary(piece())]);
    }
    all.push(headers);
  }
  return all;
}
