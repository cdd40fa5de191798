// Drives an operator: takes the host's calls, begins and ends the call, hands events over one by one. exports.js and testing.js
// own one runner per instance.

import { Call } from './call.js';
import { unpack, unpackTimes } from './columns.js';
import { describe, openFields } from './declare.js';
import { describeError, Fatal, Reject, Retry } from './errors.js';
import { Batch } from './event.js';
import { Timer, TimerHandle } from './timers.js';

/** An opened operator or aggregator and its calls: each is written back, or dropped with a Retry or Fatal. */
export class Session {
  constructor(definition, host, config) {
    this.definition = definition;
    this.call = new Call(host);
    this.#guarded(() => {
      this.handles = openFields(definition, this.call, config);
    });
    this.outsideEvents(() => definition.open?.(this.handles));
  }

  /** A call that is about no event. */
  outsideEvents(act) {
    this.call.begin();
    this.guarded(act);
  }

  /** Runs a call to its end. */
  guarded(act) {
    return this.#guarded(() => {
      const result = act();
      this.call.writeBack();
      return result;
    });
  }

  #guarded(act) {
    try {
      return act();
    } catch (error) {
      const { host, index } = this.call;
      this.call.drop();
      if (error instanceof Retry || error instanceof Fatal) throw error;
      // Where there is no event to refuse, refusing is fatal.
      if (error instanceof Reject) throw new Fatal(error.message);
      const at = index === null ? '' : ` (at event or timer ${index} of the call)`;
      host.log('error', `${describeError(error)}${at}\n${error?.stack ?? ''}`.trimEnd());
      throw new Fatal(`${describeError(error)}${at}; the stack is in the operator's log`);
    }
  }

  close() {
    this.outsideEvents(() => this.definition.close?.(this.handles));
  }
}

/** An opened operator. */
export class Runner extends Session {
  #timers;

  static describe(definition) {
    return describe(definition, typeof definition.onWatermark === 'function');
  }

  constructor(definition, host, config) {
    super(definition, host, config);
    this.#timers = Object.values(this.handles).filter((handle) => handle instanceof TimerHandle);
  }

  process(input, watermark, columns) {
    const { definition, handles, call } = this;
    const batch = new Batch(call, columns, input, watermark);
    call.begin(batch.binaryKeys);
    return this.guarded(() => {
      if (definition.processBatch) return definition.processBatch(batch, handles) ?? [];
      if (!definition.process) throw new Fatal(`operator \`${definition.name}\` has neither process nor processBatch`);
      return batch.each((event) => definition.process(event, handles));
    });
  }

  onTimers(timer, keyColumns, timeColumn, watermark) {
    const { definition, handles, call } = this;
    const [keys, times, source] = [unpack(keyColumns), unpackTimes(timeColumn), this.#timers[timer]];
    call.begin(keys);
    return this.guarded(() => {
      if (!definition.onTimer) {
        throw new Fatal(`timer \`${source.name}\` fired, but operator \`${definition.name}\` has no onTimer`);
      }
      return call.each(keys, times, (i) => definition.onTimer(new Timer(keys[i], times[i], source, watermark), handles));
    });
  }

  onWatermark(watermark) {
    this.outsideEvents(() => this.definition.onWatermark?.(watermark, this.handles));
  }
}
