// The imports of world `processor`, as the runner asks for them.

import { scan as scanRanges } from 'tidemill:operator/state@0.1.0';

export { emit } from 'tidemill:operator/output@0.1.0';
export { append, clear, get, put } from 'tidemill:operator/state@0.1.0';
export { cancel, register } from 'tidemill:operator/timers@0.1.0';
export * from './aggregator.js';

export function scan(state, range, limit, cursor) {
  return scanRanges(state, [range], limit, cursor);
}
