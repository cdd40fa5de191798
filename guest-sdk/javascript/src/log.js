// Lines for the operator's log. They reach the host at once and survive a dropped call.

let sink = () => {};

/** Where lines go; given by whoever opens the operator. */
export function useSink(to) {
  sink = to;
}

export const log = Object.freeze({
  /** The finest detail. */
  trace: (message) => sink('trace', String(message)),
  /** For developers. */
  debug: (message) => sink('debug', String(message)),
  /** What is normal. */
  info: (message) => sink('info', String(message)),
  /** What is odd. */
  warn: (message) => sink('warn', String(message)),
  /** What is broken. */
  error: (message) => sink('error', String(message)),
});
