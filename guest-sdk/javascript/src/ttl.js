// Time to live of state: how `ttl`, `clock` and `refresh` of a state become its entry in the descriptor.

const UNITS_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const CLOCKS = { processing: 'processing-time', event: 'event-time' };
const REFRESHES = ['write', 'read-and-write'];

/** The entry of a state of this kind. What cannot be meant is the author's error. */
export function stateEntry(kind, { ttl, clock, refresh } = {}) {
  if (ttl === undefined) {
    if (clock !== undefined || refresh !== undefined) {
      throw new TypeError("`clock` and `refresh` are of `ttl`; write ttl: '10s' with them");
    }
    return { kind };
  }
  const [, digits, unit] = /^([0-9]+)(ms|s|m|h|d)$/.exec(ttl) ?? [];
  const ms = Number(digits) * UNITS_MS[unit];
  if (!(ms > 0 && ms <= Number.MAX_SAFE_INTEGER)) {
    throw new TypeError(`ttl: ${JSON.stringify(ttl)}: write a duration above 0, as '500ms', '10s', '5m', '1h' or '2d'`);
  }
  if (clock !== undefined && !Object.hasOwn(CLOCKS, clock)) {
    throw new TypeError(`clock: ${JSON.stringify(clock)}: write 'event' or 'processing'`);
  }
  if (refresh !== undefined && !REFRESHES.includes(refresh)) {
    throw new TypeError(`refresh: ${JSON.stringify(refresh)}: write 'write' or 'read-and-write'`);
  }
  return { kind, ttl: { ms, clock: CLOCKS[clock ?? 'processing'], refresh: refresh ?? 'write' } };
}
