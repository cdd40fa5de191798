// The imports of world `aggregator`, as the runner asks for them.

import { currentSubtask, currentTime } from 'tidemill:operator/context@0.1.0';
import { log as line } from 'tidemill:operator/log@0.1.0';

export { add, observe, set } from 'tidemill:operator/metrics@0.1.0';

export function log(level, message) {
  line(level, message);
}

export function nowMs() {
  return Number(currentTime());
}

// The engine's own clock is a trap in a component. The call's is the same again on replay.
const EngineDate = Date;
globalThis.Date = class Date extends EngineDate {
  constructor(...moment) {
    super(...(moment.length ? moment : [nowMs()]));
  }

  static now() {
    return nowMs();
  }
};

export function subtask() {
  const { index, parallelism, maxParallelism } = currentSubtask();
  return { index, parallelism, maxParallelism };
}
