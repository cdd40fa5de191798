// Bytes as JavaScript strings: one char per byte ("binary strings"), because engines without a JIT slice, compare, hash and
// join strings natively, and take bytes one by one slowly. The whole SDK keeps keys and values so; columns are made of them.

const CHUNK = 8192;

/** A binary string of a Uint8Array. */
export function toBinary(bytes) {
  if (bytes.length <= CHUNK) return String.fromCharCode.apply(null, bytes);
  const parts = [];
  for (let i = 0; i < bytes.length; i += CHUNK) parts.push(String.fromCharCode.apply(null, bytes.subarray(i, i + CHUNK)));
  return parts.join('');
}

/** The Uint8Array of a binary string. */
export const fromBinary =
  typeof Uint8Array.fromBase64 === 'function'
    ? (binary) => (binary.length > 16 ? Uint8Array.fromBase64(btoa(binary)) : byteByByte(binary))
    : byteByByte;

function byteByByte(binary) {
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

const NOT_ASCII = /[^\0-\x7f]/;

/** Whether every char is one byte of UTF-8, so that text and binary string are the same. */
export function isAscii(text) {
  if (text.length > 24) return !NOT_ASCII.test(text);
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false;
  return true;
}

/** UTF-8, as a binary string. Lone surrogates become U+FFFD, as in a TextEncoder. */
export function encodeUtf8(text) {
  if (isAscii(text)) return text;
  return unescape(encodeURIComponent(text.toWellFormed()));
}

/** Text of UTF-8 in a binary string; a TypeError if it is none. */
export function decodeUtf8(binary) {
  if (isAscii(binary)) return binary;
  try {
    return decodeURIComponent(escape(binary));
  } catch {
    throw new TypeError('invalid UTF-8');
  }
}

/** UTF-8 for authors: text from and to Uint8Array, in engines without TextEncoder too. Decoding what is none throws. */
export const utf8 = Object.freeze({
  encode: (text) => fromBinary(encodeUtf8(text)),
  decode: (bytes) => decodeUtf8(toBinary(bytes)),
});

/** What can be given as a key or value: text, bytes, or null; as a binary string or null. */
export function asBinary(value, what) {
  if (typeof value === 'string') return encodeUtf8(value);
  if (value === null || value === undefined) return null;
  if (value instanceof Uint8Array) return toBinary(value);
  throw new TypeError(`${what} is ${show(value)}: a string, a Uint8Array or null can be emitted; emitJson takes the rest`);
}

/** A value in a message. */
export function show(value) {
  try {
    return typeof value === 'bigint' ? `${value}n` : (JSON.stringify(value) ?? String(value));
  } catch {
    return String(value);
  }
}
