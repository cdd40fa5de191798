// Types of `@tidemill/sdk/aggregator`: window aggregates. What each does is said at its implementation in src/.

import type { Bytes, Event, Fields, Handles, HeadersToEmit, StateCodec } from './index.js';

/** A window [start, end) of a key, and how often it gave results before. A global one goes from -2^63 to 2^63. */
export interface Window {
  readonly key: Uint8Array;
  readonly start: number;
  readonly end: number;
  readonly firing: number;
  keyText(): string;
}

export interface RowOptions {
  /** Its key; the window's unless given. */
  key?: Bytes;
  headers?: HeadersToEmit;
}
/** Takes the rows that windows give; the host sets their times. */
export interface Rows {
  emit(value: Bytes, options?: RowOptions): void;
  emitJson(value: unknown, options?: RowOptions): void;
}

export interface AggregatorDefinition<A, F extends Fields, C> {
  name: string;
  version?: string;
  configSchema?: object | boolean;
  config?: (config: any) => C;
  /** How accumulators are kept; JSON unless given. */
  accumulator?: StateCodec<A>;
  /** Metrics. */
  declare?: F;
  open?(aggregate: Handles<F, C>): void;
  /** A new accumulator. */
  start(aggregate: Handles<F, C>): A;
  /** Folds an event in: changes the accumulator in place and returns nothing, or returns another. */
  add(accumulator: A, event: Event, aggregate: Handles<F, C>): A | void;
  /** Folds in what a later piece of the same window gathered. */
  merge(accumulator: A, later: A, aggregate: Handles<F, C>): A | void;
  /** A window gives its result: any number of rows. */
  finish(window: Window, accumulator: A, rows: Rows, aggregate: Handles<F, C>): void;
  close?(aggregate: Handles<F, C>): void;
}

/** What a component of world `aggregator` exports. */
export interface AggregatorExports {
  describe(): string;
  open(config: string): void;
  close(): void;
}
/** Makes a window aggregate the component's: `export const aggregate = defineAggregator({ ... })`, once per project. */
export function defineAggregator<A, F extends Fields = {}, C = any>(definition: AggregatorDefinition<A, F, C>): AggregatorExports;

export {
  bigint, boolean, bytes, codec, counter, Fatal, gauge, histogram, json, jsonOf, log, number, Reject, rejecting, Retry, settings,
  text, utf8,
} from './index.js';
