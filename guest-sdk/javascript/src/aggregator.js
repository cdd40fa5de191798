// Write Tidemill window aggregates in JavaScript: a fold over the events of a window. The host keeps windows and accumulators.
//
//     import { defineAggregator } from '@tidemill/sdk/aggregator';
//
//     export const aggregate = defineAggregator({
//       name: 'total',
//       start: () => ({ sum: 0 }),
//       add(total, event) { total.sum += event.json().amount; },
//       merge(total, later) { total.sum += later.sum; },
//       finish(window, total, rows) { rows.emitJson(total); },
//     });

import * as host from '#host/aggregator';
import { AggregateRunner } from './aggregate_runner.js';
import { componentOf } from './exports.js';

/** Makes a window aggregate the component's: `export const aggregate = defineAggregator({ ... })`, once per project. */
export function defineAggregator(definition) {
  const { shared, call } = componentOf(definition, AggregateRunner, host);
  return {
    ...shared,
    accumulate: (events, groups, accumulators) => call((runner) => runner.accumulate(events, groups, accumulators)),
    merge: (groups, accumulators) => call((runner) => runner.merge(groups, accumulators)),
    finish: (keys, windows, accumulators) => call((runner) => runner.finish(keys, windows, accumulators)),
  };
}

export { utf8 } from './bytes.js';
export { bigint, boolean, bytes, codec, json, jsonOf, number, text } from './codec.js';
export { settings } from './declare.js';
export { Fatal, Reject, rejecting, Retry } from './errors.js';
export { log } from './log.js';
export { counter, gauge, histogram } from './metrics.js';
