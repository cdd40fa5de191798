// Outside a component there is no host: testing.js hands a runner its own.

/** Log lines of a module that is loaded and never opened go nowhere. */
export function log() {}
