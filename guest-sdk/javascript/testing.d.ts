// Types of `@tidemill/sdk/testing`: operators and window aggregates under `node --test`.

import type { AggregatorExports } from './aggregator.js';
import type { Bytes, HeadersToEmit, ProcessorExports } from './index.js';

/** An event; bytes are shown as text where they are. */
export class Record {
  readonly key: string | Uint8Array | null;
  readonly value: string | Uint8Array | null;
  readonly time: number;
  readonly headers: ReadonlyArray<readonly [string, string | Uint8Array | null]>;
  json<T = any>(): T;
}
export function record(key: Bytes, value?: Bytes, options?: { time?: number; headers?: HeadersToEmit }): Record;

export interface DeadLetter {
  record: Record;
  reason: string;
}
/** What the host would end the instance for. */
export class Trap extends Error {}

declare class Base {
  readonly descriptor: any;
  readonly calls: { [call: string]: number };
  replaceInstance(): void;
  deadLetters(): DeadLetter[];
  log(): Array<[level: string, message: string]>;
  metric(name: string): number;
}

/** An operator, its state and timers, and what came out of it. */
export class Harness extends Base {
  constructor(operator: ProcessorExports, config?: unknown);
  send(...records: Record[]): void;
  sendTo(input: number, ...records: Record[]): void;
  watermark(time: number): void;
  clock(now: number): void;
  end(): void;
  output(port: string): Record[];
  timers(): Array<{ domain: string; name: string; key: string; time: number }>;
  stateEntries(state: string): number;
}

/** A window aggregate over tumbling windows. */
export class AggregateHarness extends Base {
  constructor(aggregate: AggregatorExports, config?: unknown, options?: { windowMs?: number });
  send(...records: Record[]): void;
  /** From here on events go into new accumulators, to be merged with the others. */
  split(): void;
  end(): void;
  results(): Record[];
}
