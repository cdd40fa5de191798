// The host in memory, for testing.js: Maps for state and timers, a copy of them to roll a call back to. It holds the operator to
// the contract as the real host does: what would trap there throws a Trap here. Keys and values are binary strings.

import { toBinary } from './bytes.js';
import { pack, packOptional, unpack, unpackTimes } from './columns.js';
import { decodeAll } from './headers.js';

/** Entries in a page of a scan: few, so that tests cross pages. */
const PAGE = 3;

/** What the host would end the instance for. */
export class Trap extends Error {
  name = 'Trap';
}

const byKey = ([a], [b]) => (a < b ? -1 : a > b ? 1 : 0);

/** Events of columns: { key, value, time, headers }, bytes as binary strings. */
export function eventsOf(columns) {
  const [times, keys, values] = [unpackTimes(columns.timestamps), unpack(columns.keys), unpack(columns.values)];
  if (keys.length !== times.length || values.length !== times.length) {
    throw new Trap('the columns of an emitted batch differ in length');
  }
  const headers = decodeAll(columns.headers, times.length);
  return times.map((time, i) => ({ key: keys[i], value: values[i], time, headers: headers[i] }));
}

export function memoryHost() {
  // An entry of state is [value, stamp]; the stamp says when it is over, where the state has a time to live.
  let contents = { state: new Map(), timers: new Map(), emitted: [], metrics: new Map() };
  let before = contents;
  let appended = 0;
  let newest = new Map();
  const host = { states: [], calls: {}, lines: [], clock: 0, watermark: -Infinity };

  function note(call) {
    host.calls[call] = (host.calls[call] ?? 0) + 1;
  }

  function check(call, state, ...wanted) {
    note(call);
    const kind = host.states[state]?.kind;
    if (!wanted.includes(kind)) throw new Trap(`state.${call} on state ${state}, which is ${kind}; it needs one of ${wanted}`);
  }

  function stamp(state, key) {
    const { ttl } = host.states[state];
    if (ttl?.clock !== 'event-time') return host.clock;
    return Math.max(host.watermark, newest.get(key) ?? Math.max(...newest.values()));
  }

  /** The value of an entry, which lasts longer where reading does that. */
  function read(state, key, sub) {
    const entry = entries(state, key).get(sub);
    if (entry === undefined) return null;
    if (host.states[state].ttl?.refresh === 'read-and-write') write(state, key, sub, entry[0]);
    return entry[0];
  }

  function write(state, key, sub, value) {
    entries(state, key).set(sub, [value, stamp(state, key)]);
  }

  function entries(state, key) {
    const place = `${state} ${key}`;
    if (!contents.state.has(place)) contents.state.set(place, new Map());
    return contents.state.get(place);
  }

  function same(...columns) {
    if (new Set(columns.map((column) => column.length)).size > 1) throw new Trap('columns of one call differ in length');
    return columns;
  }

  const timersOf = (domain, timer, keys, times) => {
    const [names, moments] = same(unpack(keys), unpackTimes(times));
    return names.map((key, i) => [`${domain} ${timer} ${moments[i]} ${key}`, { domain, timer, time: moments[i], key }]);
  };

  return Object.assign(host, {
    /** A call begins about these events or timers, their keys as binary strings. */
    begin(about) {
      newest = new Map();
      for (const { key, time } of about) newest.set(key ?? '', Math.max(time, newest.get(key ?? '') ?? time));
      host.free();
      before = {
        state: new Map([...contents.state].map(([place, all]) => [place, new Map(all)])),
        timers: new Map(contents.timers),
        emitted: [...contents.emitted],
        metrics: new Map(contents.metrics),
      };
    },
    /** What has outlived its time is freed, here at once. */
    free() {
      const now = { 'event-time': host.watermark, 'processing-time': host.clock };
      for (const [place, all] of contents.state) {
        const { ttl } = host.states[parseInt(place, 10)];
        for (const [sub, [, at]] of ttl ? all : []) if (at + ttl.ms <= now[ttl.clock]) all.delete(sub);
      }
    },
    rollBack() {
      contents = before;
    },
    get(state, keys, subkeys) {
      check('get', state, subkeys ? 'map' : 'value');
      const names = unpack(keys);
      const [, subs] = same(names, subkeys ? unpack(subkeys) : names.map(() => ''));
      return packOptional(names.map((key, i) => read(state, key, subs[i])));
    },
    put(state, keys, subkeys, values) {
      check('put', state, subkeys ? 'map' : 'value');
      const names = unpack(keys);
      const [, subs, all] = same(names, subkeys ? unpack(subkeys) : names.map(() => ''), unpack(values));
      names.forEach((key, i) => {
        if (all[i] === null) entries(state, key).delete(subs[i]);
        else write(state, key, subs[i], all[i]);
      });
    },
    append(state, keys, values) {
      check('append', state, 'list');
      const [names, all] = same(unpack(keys), unpack(values));
      names.forEach((key, i) => write(state, key, String(appended++).padStart(12, '0'), all[i]));
    },
    clear(state, keys) {
      check('clear', state, 'value', 'map', 'list');
      for (const key of unpack(keys)) contents.state.delete(`${state} ${key}`);
    },
    scan(state, range, limit, cursor) {
      check('scan', state, 'map', 'list');
      const [key, start, end] = [range.key, range.start, range.end].map((bytes) => (bytes ? toBinary(bytes) : undefined));
      const within = ([sub]) => (start === undefined || start <= sub) && (end === undefined || sub < end);
      const all = [...entries(state, key)].filter(within).sort(byKey);
      const at = cursor ? cursor[0] + 256 * cursor[1] : 0;
      const after = at + Math.min(limit || PAGE, PAGE);
      const page = all.slice(at, after);
      return {
        subkeys: pack(page.map(([sub]) => (host.states[state].kind === 'list' ? '' : sub))),
        values: pack(page.map(([sub]) => read(state, toBinary(range.key), sub))),
        cursor: after < all.length ? Uint8Array.of(after & 255, after >> 8) : null,
      };
    },
    register(domain, timer, keys, times) {
      note('register');
      for (const [place, one] of timersOf(domain, timer, keys, times)) contents.timers.set(place, one);
    },
    cancel(domain, timer, keys, times) {
      note('cancel');
      for (const [place] of timersOf(domain, timer, keys, times)) contents.timers.delete(place);
    },
    /** Timers waiting, earliest first. */
    timers() {
      const order = ({ domain, timer, key }) => `${domain} ${timer} ${key}`;
      return [...contents.timers.values()].sort((a, b) => a.time - b.time || (order(a) < order(b) ? -1 : 1));
    },
    /** A batch of due timers: earliest first, one clock, one timer, at most one per key. */
    takeDue(watermark) {
      const limits = { 'event-time': watermark, 'processing-time': host.clock };
      const due = host.timers().filter(({ domain, time }) => time <= limits[domain]);
      const taken = [];
      for (const one of due) {
        const fits = one.domain === due[0].domain && one.timer === due[0].timer;
        if (!fits || taken.some((earlier) => earlier.key === one.key)) break;
        taken.push(one);
        contents.timers.delete(`${one.domain} ${one.timer} ${one.time} ${one.key}`);
      }
      return taken;
    },
    emit(port, events) {
      note('emit');
      for (const event of eventsOf(events)) contents.emitted.push({ port, event });
    },
    takeEmitted(port) {
      const taken = contents.emitted.filter((one) => one.port === port).map((one) => one.event);
      contents.emitted = contents.emitted.filter((one) => one.port !== port);
      return taken;
    },
    add(metric, amount) {
      contents.metrics.set(metric, host.metric(metric) + amount);
    },
    set(metric, value) {
      contents.metrics.set(metric, value);
    },
    observe(metric, values) {
      contents.metrics.set(metric, values.reduce((sum, value) => sum + value, host.metric(metric)));
    },
    metric: (metric) => contents.metrics.get(metric) ?? 0,
    stateEntries(state) {
      const of = [...contents.state].filter(([place]) => place.startsWith(`${state} `));
      return of.reduce((sum, [, all]) => sum + all.size, 0);
    },
    subtask: () => ({ index: 0, parallelism: 1, maxParallelism: 128 }),
    nowMs: () => host.clock,
    log(level, message) {
      host.lines.push([level, message]);
    },
  });
}
