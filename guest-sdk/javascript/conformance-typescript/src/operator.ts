// The conformance operator in TypeScript: guest-sdk/CONFORMANCE.md says what it does.

import {
  bytes, bytesKey, counter, defineOperator, END_OF_INPUT, eventTimer, Fatal, gauge, histogram, input, list, log, map,
  NO_WATERMARK, output, processingTimer, Reject, Retry, settings, text, utf8, value,
  type Bytes, type Event, type Handles,
} from '@tidemill/sdk';

/** The configuration. */
interface Settings {
  greeting: string;
  refuse?: string;
}

function readConfig({ refuse, ...rest }: { refuse?: string }): Settings {
  return { ...settings({ greeting: 'none' })(rest), refuse };
}

const declare = {
  events: input(),
  other: input(),
  out: output(),
  side: output(),
  count: value(text, { initial: '0' }),
  entries: map(bytesKey, bytes),
  items: list(text),
  brief: value(text, { initial: '0', ttl: '100ms' }),
  fresh: map(bytesKey, bytes, { ttl: '100ms', clock: 'event', refresh: 'read-and-write' }),
  recent: list(text, { ttl: '100ms', clock: 'event' }),
  due: eventTimer(),
  alarm: processingTimer(),
  seen: counter(),
  last: gauge(),
  sizes: histogram(),
};

type Conformance = Handles<typeof declare, Settings>;

let memory = 0;

const pattern = (length: number) => Uint8Array.from({ length }, (_, i) => i % 251);

function joined(pieces: Uint8Array[], between = ''): Uint8Array {
  const all = pieces.flatMap((piece, i) => (i === 0 || between === '' ? [piece] : [utf8.encode(between), piece]));
  const bytes = new Uint8Array(all.reduce((length, piece) => length + piece.length, 0));
  all.reduce((at, piece) => (bytes.set(piece, at), at + piece.length), 0);
  return bytes;
}

/** The first word and the rest. */
function cut(line: string): [string, string] {
  const at = line.indexOf(' ');
  return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + 1)];
}

const counted = (op: Conformance) => op.count.update((n) => String(Number(n) + 1));
const emit = (op: Conformance, event: Event, what: Bytes | number) => op.out.emit(event.key, typeof what === 'number' ? String(what) : what);
const countOn = (op: Conformance, event: Event) => emit(op, event, counted(op));

function showEntries(op: Conformance, event: Event, range?: { start: Uint8Array; end: Uint8Array }) {
  emit(op, event, joined(op.entries.entries(range).map(([sub, one]) => joined([sub, utf8.encode('='), one])), ','));
}

function fail(op: Conformance, event: Event, error: Error): never {
  countOn(op, event);
  throw error;
}

const COMMANDS: { [command: string]: (op: Conformance, event: Event, rest: string) => void } = {
  echo: (op, event) => op.out.forward(event),
  side: (op, event, rest) => op.side.emit('side', rest, { at: event.timestamp + 1 }),
  keyless: (op, event, rest) => op.out.emit(null, rest),
  tombstone: (op, event) => op.out.emit(event.key, null),
  headers: (op, event) =>
    op.out.emit(event.key, 'ok', { headers: [...[...event.headers].reverse(), ['x', Uint8Array.of(0, 255)]] }),
  input: (op, event) => emit(op, event, event.isFrom(op.events) ? op.events.name : op.other.name),
  watermark(op, event) {
    const names = new Map([[NO_WATERMARK, 'none'], [END_OF_INPUT, 'end']]);
    emit(op, event, names.get(event.watermark) ?? event.watermark);
  },
  context(op, event) {
    const { index, parallelism, maxParallelism } = op.context.subtask();
    emit(op, event, `${index}/${parallelism}/${maxParallelism} ${op.context.nowMs()}`);
  },
  greeting: (op, event) => emit(op, event, op.config.greeting),
  many(op, event, rest) {
    for (let i = 0; i < Number(rest); i++) emit(op, event, i);
  },
  size: (op, event, rest) => emit(op, event, pattern(Number(rest))),
  count: countOn,
  clear(op, event) {
    op.count.clear();
    emit(op, event, 'cleared');
  },
  put(op, event, rest) {
    const [sub, one] = cut(rest);
    op.entries.set(utf8.encode(sub), utf8.encode(one));
  },
  get: (op, event, rest) => emit(op, event, op.entries.get(utf8.encode(rest)) ?? '-'),
  remove: (op, event, rest) => op.entries.delete(utf8.encode(rest)),
  entries: (op, event) => showEntries(op, event),
  range(op, event, rest) {
    const [start, end] = cut(rest).map((sub) => utf8.encode(sub));
    showEntries(op, event, { start, end });
  },
  'clear-entries': (op) => op.entries.clear(),
  bytes(op, event) {
    for (let b = 255; b >= 0; b--) op.entries.set(Uint8Array.of(b), new Uint8Array(0));
    emit(op, event, joined(op.entries.entries().map(([sub]) => sub)));
  },
  blob(op, event, rest) {
    op.entries.set(utf8.encode('blob'), pattern(Number(rest)));
    emit(op, event, op.entries.get(utf8.encode('blob')));
  },
  push: (op, event, rest) => op.items.push(rest),
  items: (op, event) => emit(op, event, op.items.get().join(',')),
  'clear-items': (op) => op.items.clear(),
  brief: (op, event) => emit(op, event, op.brief.update((n) => String(Number(n) + 1))),
  keep: (op, event, rest) => op.fresh.set(utf8.encode(rest), utf8.encode('kept')),
  kept: (op, event, rest) => emit(op, event, op.fresh.get(utf8.encode(rest)) ?? '-'),
  note(op, event, rest) {
    op.recent.push(rest);
    emit(op, event, op.recent.get().join(','));
  },
  due: (op, event, rest) => op.due.register(Number(rest)),
  'cancel-due': (op, event, rest) => op.due.cancel(Number(rest)),
  alarm: (op, event, rest) => op.alarm.register(Number(rest)),
  'cancel-alarm': (op, event, rest) => op.alarm.cancel(Number(rest)),
  metrics(op) {
    op.seen.add(3);
    op.last.set(2.5);
    op.sizes.observe(1);
    op.sizes.observe(2);
  },
  log() {
    for (const level of ['trace', 'debug', 'info', 'warn', 'error'] as const) log[level]('a line');
  },
  reject(op, event, reason) {
    countOn(op, event);
    op.entries.set(utf8.encode('rejected'), utf8.encode('rejected'));
    op.items.push('rejected');
    op.due.register(event.timestamp + 5);
    op.seen.add(100);
    throw new Reject(reason);
  },
  raise: (op, event) => fail(op, event, new Error('raised on purpose')),
  retry: (op, event, rest) => fail(op, event, new Retry(rest === '' ? undefined : Number(rest))),
  fatal: (op, event, rest) => fail(op, event, new Fatal(rest)),
  memory: (op, event) => emit(op, event, (memory += 1)),
};

export const operator = defineOperator({
  name: 'conformance',
  version: '0.1.0',
  config: readConfig,
  declare,

  open({ config }) {
    if (config.refuse !== undefined) throw new Fatal(config.refuse);
    log.info('opened');
  },

  close() {
    log.info('closed');
  },

  process(event, op) {
    if (event.value === null) return op.out.forward(event);
    let line;
    try {
      line = utf8.decode(event.value);
    } catch (error) {
      throw new Reject(`unknown command: ${error}`);
    }
    const [command, rest] = cut(line);
    if (!Object.hasOwn(COMMANDS, command)) throw new Reject(`unknown command ${command}`);
    COMMANDS[command](op, event, rest);
  },

  onTimer(timer, op) {
    op.out.emit(timer.key, `${timer.name} ${timer.time}`);
    if (op.entries.has(utf8.encode('refuse-timer'))) {
      counted(op);
      throw new Reject('timer refused');
    }
    if (op.entries.has(utf8.encode('again'))) {
      op.due.register(timer.time + 10);
      op.entries.delete(utf8.encode('again'));
    }
  },

  onWatermark(watermark, { side }) {
    if (watermark === END_OF_INPUT) side.emit(null, 'watermark end', { at: 0 });
    else side.emit(null, `watermark ${watermark}`, { at: watermark });
  },
});
