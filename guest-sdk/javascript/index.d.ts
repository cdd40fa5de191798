// Types of `@tidemill/sdk`: operators. What each does is said at its implementation in src/.

/** What can be emitted as a key or value: text (as UTF-8), bytes, or nothing. */
export type Bytes = string | Uint8Array | null | undefined;
/** Names and values; a name may come twice. */
export type Headers = ReadonlyArray<readonly [name: string, value: Uint8Array]>;
export type HeadersToEmit = ReadonlyArray<readonly [name: string, value: Bytes]>;

/** One event. Times are ms since 1970. */
export interface Event {
  /** Its routing key. */
  readonly key: Uint8Array | null;
  /** Its payload; null is a tombstone. */
  readonly value: Uint8Array | null;
  /** Its event time. */
  readonly timestamp: number;
  /** Its index in the batch. */
  readonly index: number;
  /** The operator's watermark when it came. An event at or below it is late. */
  readonly watermark: number;
  readonly headers: Headers;
  /** The first header of this name. */
  header(name: string): Uint8Array | undefined;
  /** Whether it came from this input. */
  isFrom(input: Input): boolean;
  /** Its key as text; refuses the event if that is not what it is. */
  keyText(): string;
  /** Its payload as text; refuses the event if that is not what it is. */
  text(): string;
  /** Its payload parsed as JSON; refuses the event if that fails. */
  json<T = any>(): T;
}

/** One event that was refused, and why. */
export interface Rejection {
  index: number;
  reason: string;
}

/** The events of one call, as arrays of equal length. */
export interface Batch {
  readonly length: number;
  readonly input: number;
  readonly watermark: number;
  readonly keys: ReadonlyArray<Uint8Array | null>;
  readonly values: ReadonlyArray<Uint8Array | null>;
  readonly timestamps: readonly number[];
  readonly headers: readonly Headers[];
  /** Hands the events over one by one, each a transaction of its own. */
  each(handle: (event: Event) => void): Rejection[];
}

/** A timer that is due. */
export interface Timer {
  readonly key: Uint8Array;
  readonly time: number;
  readonly name: string;
  /** The handle that it was registered with. */
  readonly source: TimerHandle;
  readonly watermark: number;
  keyText(): string;
}

/** How a `T` becomes bytes. */
export interface StateCodec<T> {
  readonly plain?: boolean;
  encode(value: T): string;
  decode(binary: string): T;
}
/** Anything that JSON can say. */
export const json: StateCodec<any>;
export const number: StateCodec<number>;
export const bigint: StateCodec<bigint>;
export const text: StateCodec<string>;
export const boolean: StateCodec<boolean>;
export const bytes: StateCodec<Uint8Array>;
/** JSON of this type: `value(jsonOf<Account>())`. */
export function jsonOf<T>(): StateCodec<T>;
/** A codec of one's own. */
export function codec<T>(codec: { encode(value: T): Uint8Array; decode(bytes: Uint8Array): T }): StateCodec<T>;

/** A map's sub-key: its bytes sort as it does. */
export interface SubKey<K> {
  encode(value: K): string;
  decode(binary: string): K;
}
/** Whole numbers within +-(2^53 - 1). */
export const integerKey: SubKey<number>;
export const textKey: SubKey<string>;
export const bytesKey: SubKey<Uint8Array>;
/** By the number first. */
export function pairKey<B>(rest: SubKey<B>): SubKey<[number, B]>;

/** One entry of `declare`; `H` is the handle that it becomes. */
export interface Field<H> {
  readonly section: string;
  readonly handle?: H;
}
export interface Named {
  /** Its name outside, in place of its attribute's with - for capitals and _. */
  name?: string;
}

/** How long the entries of a state last; for ever unless given. */
export interface Lasting {
  /** So long after they were written. */
  ttl?: `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;
  /** By the watermark, or by the clock on the wall, unless given. */
  clock?: 'event' | 'processing';
  /** What makes them last longer: writing them, unless given. */
  refresh?: 'write' | 'read-and-write';
}
export type StateOptions = Named & Lasting;

export interface Value<T, Initial = undefined> {
  get(): T | Initial;
  set(value: T): void;
  clear(): void;
  take(): T | Initial;
  update(change: (value: T | Initial) => T): T;
}
export interface MapState<K, V> {
  get(subKey: K): V | undefined;
  has(subKey: K): boolean;
  set(subKey: K, value: V): void;
  delete(subKey: K): void;
  take(subKey: K): V | undefined;
  update(subKey: K, change: (value: V | undefined) => V): V;
  clear(): void;
  /** Those with start <= sub-key < end, in order. */
  entries(range?: { start?: K; end?: K; limit?: number }): Array<[K, V]>;
}
export interface ListState<T> {
  push(...values: T[]): void;
  get(): T[];
  clear(): void;
  take(): T[];
  set(values: readonly T[]): void;
}
export interface FoldingState<In, Out> {
  add(one: In): void;
  get(): Out | undefined;
  clear(): void;
}
export interface EmitOptions {
  /** Its time, ms; that of the event or timer in progress unless given. */
  at?: number;
  headers?: HeadersToEmit;
}
export interface Output {
  readonly name: string;
  emit(key: Bytes, value: Bytes, options?: EmitOptions): void;
  emitJson(key: Bytes, value: unknown, options?: EmitOptions): void;
  /** As it came: time, key, value and headers. */
  forward(event: Event): void;
  /** All of a batch as they came; for `processBatch`. */
  forwardBatch(batch: Batch): void;
}
export interface TimerHandle {
  readonly name: string;
  register(time: number): void;
  cancel(time: number): void;
}
export interface ProcessingTimer extends TimerHandle {
  /** So many ms from now; says for when. */
  registerIn(ms: number): number;
}
export interface Counter {
  add(amount?: number): void;
}
export interface Gauge {
  set(value: number): void;
}
export interface Histogram {
  observe(value: number): void;
}
export interface Input {
  readonly name: string;
  readonly index: number;
}

export function value<T = any>(codec?: StateCodec<T>, options?: StateOptions): Field<Value<T>>;
export function value<T>(codec: StateCodec<T>, options: StateOptions & { initial: T | (() => T) }): Field<Value<T, T>>;
export function map<K, V = any>(subKey: SubKey<K>, codec?: StateCodec<V>, options?: StateOptions): Field<MapState<K, V>>;
export function list<T = any>(codec?: StateCodec<T>, options?: StateOptions): Field<ListState<T>>;
export function reducing<T>(codec: StateCodec<T>, reduce: (earlier: T, later: T) => T, options?: StateOptions): Field<FoldingState<T, T>>;
export function aggregating<A, In, Out>(
  codec: StateCodec<A>,
  fold: { start(): A; add(accumulator: A, one: In): A; result(accumulator: A): Out },
  options?: StateOptions,
): Field<FoldingState<In, Out>>;
export function output(options?: Named): Field<Output>;
export function input(options?: Named): Field<Input>;
export function eventTimer(options?: Named): Field<TimerHandle>;
export function processingTimer(options?: Named): Field<ProcessingTimer>;
export function counter(options?: Named): Field<Counter>;
export function gauge(options?: Named): Field<Gauge>;
export function histogram(options?: Named): Field<Histogram>;

export interface Context {
  /** The call's processing time, ms. */
  nowMs(): number;
  /** Which copy of the operator this is. */
  subtask(): { index: number; parallelism: number; maxParallelism: number };
}

export type Fields = { [attribute: string]: Field<any> };
/** What functions of an operator are given: a handle for each declared field, the configuration, the context. */
export type Handles<F extends Fields, C> = { readonly [A in keyof F]: F[A] extends Field<infer H> ? H : never } & {
  readonly config: C;
  readonly context: Context;
};

export interface OperatorDefinition<F extends Fields, C> {
  name: string;
  version?: string;
  /** JSON Schema of the configuration, for tools. */
  configSchema?: object | boolean;
  /** Reads the `config` table of the pipeline file; what it throws refuses to open. */
  config?: (config: any) => C;
  declare?: F;
  /** Once per instance. */
  open?(operator: Handles<F, C>): void;
  /** One event. */
  process?(event: Event, operator: Handles<F, C>): void;
  /** All events of a call, in place of `process`. */
  processBatch?(batch: Batch, operator: Handles<F, C>): Rejection[] | void;
  onTimer?(timer: Timer, operator: Handles<F, C>): void;
  /** The watermark moved. There is no current key. */
  onWatermark?(watermark: number, operator: Handles<F, C>): void;
  /** When the pipeline ends or drains. There is no current key. */
  close?(operator: Handles<F, C>): void;
}

/** What a component of world `processor` exports. */
export interface ProcessorExports {
  describe(): string;
  open(config: string): void;
  close(): void;
}
/** Makes an operator the component's: `export const operator = defineOperator({ ... })`, once per project. */
export function defineOperator<F extends Fields = {}, C = any>(definition: OperatorDefinition<F, C>): ProcessorExports;

type Setting<S> = S extends NumberConstructor ? number : S extends StringConstructor ? string : S extends BooleanConstructor
  ? boolean : S extends number ? number : S extends string ? string : S extends boolean ? boolean : never;
/** Reads a configuration of this shape: a type (Number, String, Boolean) has to be there, a value is a
 * default. In TypeScript give its result a name first (`const config = settings({ ... })`): called in place, its type is lost. */
export function settings<S extends { [name: string]: number | string | boolean | NumberConstructor | StringConstructor | BooleanConstructor }>(
  shape: S,
): (config: unknown) => { [N in keyof S]: Setting<S[N]> };

/** This event is bad: undo what it did, send it to the dead letters, go on. */
export class Reject extends Error {}
/** Drop the whole call and make it again. */
export class Retry extends Error {
  constructor(afterMs?: number);
  readonly afterMs: number | undefined;
}
/** Stop the pipeline, keep everything. */
export class Fatal extends Error {}
/** Runs `act`; what it throws, other than the kinds above, refuses the event. */
export function rejecting<T>(act: () => T): T;

/** Lines for the operator's log. They survive a dropped call. */
export const log: { readonly [level in 'trace' | 'debug' | 'info' | 'warn' | 'error']: (message: unknown) => void };

/** UTF-8, in engines without TextEncoder too. Decoding what is none throws. */
export const utf8: { encode(text: string): Uint8Array; decode(bytes: Uint8Array): string };

export const NO_WATERMARK: number;
export const END_OF_INPUT: number;
export const TIME_LIMIT_MS: number;
