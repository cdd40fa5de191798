// How state becomes bytes. A codec encodes to and decodes from binary strings (bytes.js); those of `plain` kinds are kept as
// they are within a call and encoded once at its end, others are encoded on each write and decoded on each read, so that
// changing what was read changes no state.

import { decodeUtf8, encodeUtf8, fromBinary, show, toBinary } from './bytes.js';

function only(kind, encode) {
  return (value) => {
    if (typeof value !== kind) throw new TypeError(`${show(value)} is no ${kind}`);
    return encode(value);
  };
}

function toJson(value) {
  const text = JSON.stringify(value);
  if (text === undefined) throw new TypeError(`${show(value)} is nothing that JSON can say`);
  return encodeUtf8(text);
}

/** Anything that JSON can say. */
export const json = { encode: toJson, decode: (binary) => JSON.parse(decodeUtf8(binary)) };
/** The same, where TypeScript is told which type it is. */
export const jsonOf = () => json;
/** A number. */
export const number = { plain: true, encode: only('number', String), decode: readNumber };
/** A whole number of any size. */
export const bigint = { plain: true, encode: only('bigint', String), decode: (binary) => BigInt(binary) };
/** Text. */
export const text = { plain: true, encode: only('string', encodeUtf8), decode: decodeUtf8 };
/** True or false. */
export const boolean = { plain: true, encode: only('boolean', String), decode: (binary) => binary === 'true' };
/** Bytes: a Uint8Array. */
export const bytes = {
  encode(value) {
    if (!(value instanceof Uint8Array)) throw new TypeError(`${show(value)} is no Uint8Array`);
    return toBinary(value);
  },
  decode: fromBinary,
};

function readNumber(binary) {
  const value = Number(binary);
  if (Number.isNaN(value) && binary !== 'NaN') throw new TypeError(`${show(binary)} is no number`);
  return value;
}

/** A codec of one's own: `encode` gives a Uint8Array, `decode` takes one. */
export function codec({ encode, decode }) {
  return { encode: (value) => bytes.encode(encode(value)), decode: (binary) => decode(fromBinary(binary)) };
}

const TWO_32 = 2 ** 32;
// Added to the upper half, this puts negative numbers before the others.
const OFFSET = 2 ** 21;

function encodeInteger(value) {
  if (!Number.isSafeInteger(value)) throw new TypeError(`${show(value)} is no whole number within +-(2^53 - 1)`);
  const high = Math.floor(value / TWO_32);
  const word = (n) => String.fromCharCode(n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255);
  return word(high + OFFSET) + word(value - high * TWO_32);
}

function decodeInteger(binary) {
  if (binary.length !== 8) throw new TypeError('a sub-key of another type');
  const word = (at) => [0, 1, 2, 3].reduce((n, i) => n * 256 + binary.charCodeAt(at + i), 0);
  return (word(0) - OFFSET) * TWO_32 + word(4);
}

// Sub-keys of maps: their bytes sort as they do, so that ranges mean what they say.

/** A map's sub-key that is a whole number. */
export const integerKey = { encode: encodeInteger, decode: decodeInteger };
/** A map's sub-key that is text. */
export const textKey = text;
/** A map's sub-key that is bytes. */
export const bytesKey = bytes;
/** A map's sub-key that is a whole number and another: by the number first. */
export function pairKey(rest) {
  return {
    encode: ([first, second]) => encodeInteger(first) + rest.encode(second),
    decode: (binary) => [decodeInteger(binary.slice(0, 8)), rest.decode(binary.slice(8))],
  };
}
