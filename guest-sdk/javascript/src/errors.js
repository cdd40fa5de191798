// What an operator throws when something is wrong: the kind says what the host should do about it.

/** This event (or timer) is bad: what it did is undone, it goes to the dead letters, the next one follows. */
export class Reject extends Error {
  name = 'Reject';
}

/** Something outside is not ready: the whole call is dropped and made again, after so many ms if given. */
export class Retry extends Error {
  name = 'Retry';

  constructor(afterMs) {
    super(afterMs === undefined ? 'retry' : `retry after ${afterMs} ms`);
    if (afterMs !== undefined && !(Number.isInteger(afterMs) && afterMs >= 0 && afterMs < 2 ** 32)) {
      throw new RangeError(`Retry after ${afterMs} ms: 0 to 2^32 - 1 are possible`);
    }
    this.afterMs = afterMs;
  }
}

/** Stop the pipeline, keep everything that is committed. */
export class Fatal extends Error {
  name = 'Fatal';
}

/** Runs `act`; what it throws, other than the kinds above, refuses the event. */
export function rejecting(act) {
  try {
    return act();
  } catch (error) {
    if (error instanceof Reject || error instanceof Retry || error instanceof Fatal) throw error;
    throw new Reject(describeError(error));
  }
}

/** An error in a message. */
export function describeError(error) {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
