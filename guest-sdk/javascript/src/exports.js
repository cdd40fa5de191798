// What a component exports: every call answered, with what goes wrong as the WIT's `failure`. Anything else that is thrown would
// be a trap and the end of the instance.

import { describeError, Fatal, Retry } from './errors.js';
import { log, useSink } from './log.js';

/** Where testing.js finds the definition and its runner. */
export const DEFINITION = Symbol('tidemill definition');

/** The exports that both worlds have, and `call`, which the others are made with. */
export function componentOf(definition, Runner, host) {
  let runner = null;
  const call = (act) => {
    if (runner === null) throw failure(new Fatal('the host called the operator before `open`'));
    return answered(() => act(runner));
  };
  const shared = {
    describe() {
      useSink(host.log);
      try {
        return JSON.stringify(Runner.describe(definition));
      } catch (error) {
        // No descriptor is better than a wrong one: the host refuses the empty string, and the log says why.
        log.error(describeError(error));
        return '';
      }
    },
    open(config) {
      useSink(host.log);
      answered(() => {
        runner = new Runner(definition, host, config);
      });
    },
    close() {
      call((opened) => opened.close());
    },
    [DEFINITION]: { definition, Runner },
  };
  return { shared, call };
}

function answered(act) {
  try {
    return act();
  } catch (error) {
    throw failure(error);
  }
}

function failure(error) {
  if (error instanceof Retry) return { tag: 'retry', val: error.afterMs };
  return { tag: 'fatal', val: error instanceof Fatal ? error.message : describeError(error) };
}
