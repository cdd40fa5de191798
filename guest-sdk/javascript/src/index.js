// Write Tidemill operators in JavaScript: an object of states, ports and functions.
//
//     import { defineOperator, number, output, value } from '@tidemill/sdk';
//
//     export const operator = defineOperator({
//       name: 'count',
//       declare: { seen: value(number, { initial: 0 }), counts: output() },
//       process(event, { seen, counts }) {
//         counts.emit(event.key, String(seen.update((n) => n + 1)));
//       },
//     });
//
// The map. This file (defineOperator) and declare.js (what a field is) face the author; `@tidemill/sdk/aggregator` is for
// window aggregates. runner.js takes the host's calls and drives the operator event by event; call.js is the call in progress
// and can undo one event; value.js, map.js, list.js, output.js, timers.js and metrics.js are the handles, written back once per
// call. host/ is the door in a component, testing.js that in memory, for `node --test`.

import * as host from '#host/processor';
import { componentOf } from './exports.js';
import { Runner } from './runner.js';

/** Makes an operator the component's: `export const operator = defineOperator({ ... })`, once per project. */
export function defineOperator(definition) {
  const { shared, call } = componentOf(definition, Runner, host);
  return {
    ...shared,
    process: (input, watermark, events) => call((runner) => runner.process(input, watermark, events)),
    onTimers: (fired, watermark) => call((runner) => runner.onTimers(fired.timer, fired.keys, fired.times, watermark)),
    onWatermark: (watermark) => call((runner) => runner.onWatermark(watermark)),
  };
}

/** Time, ms: no watermark has come yet. */
export const NO_WATERMARK = -(2 ** 63);
/** Time, ms: the watermark after the last event of a bounded input. */
export const END_OF_INPUT = 2 ** 63;

export { utf8 } from './bytes.js';
export { TIME_LIMIT_MS } from './call.js';
export { bigint, boolean, bytes, bytesKey, codec, integerKey, json, jsonOf, number, pairKey, text, textKey } from './codec.js';
export { settings } from './declare.js';
export { Fatal, Reject, rejecting, Retry } from './errors.js';
export { list } from './list.js';
export { log } from './log.js';
export { map } from './map.js';
export { counter, gauge, histogram, input } from './metrics.js';
export { output } from './output.js';
export { eventTimer, processingTimer } from './timers.js';
export { aggregating, reducing, value } from './value.js';
