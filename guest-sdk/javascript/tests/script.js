// The operators of the tests.

import {
  aggregating, bigint, boolean, bytes, codec, counter, defineOperator, END_OF_INPUT, eventTimer, Fatal, gauge, histogram, input,
  integerKey, json, list, log, map, number, output, pairKey, processingTimer, reducing, Reject, rejecting, Retry, settings, text,
  textKey, value,
} from '@tidemill/sdk';

/** Declares one of everything. */
export const everything = defineOperator({
  name: 'everything',
  version: '1.2.3',
  configSchema: { type: 'object' },
  config: settings({ limit: Number, prefix: '' }),
  declare: {
    orders: input(),
    payments: input(),
    lastSeen: value(number),
    byDay: map(integerKey, text),
    openItems: list(text),
    lateRows: counter(),
    size: histogram(),
    high: gauge({ name: 'high_water' }),
    dayEnd: eventTimer(),
    time_out: processingTimer(),
    out: output(),
  },
  process(event, { config, orders, payments, out }) {
    const line = `${config.prefix}${config.limit} ${event.isFrom(payments)}`;
    out.emit(event.isFrom(orders) ? 'order' : null, line);
  },
  onWatermark() {},
});

/** Ports, timers and metrics by what the event's value says. */
export const effects = defineOperator({
  name: 'effects',
  declare: {
    left: input(),
    right: input(),
    soon: eventTimer(),
    atClock: processingTimer(),
    seen: counter(),
    level: gauge(),
    sizes: histogram(),
    main: output(),
    side: output({ name: 'by_side' }),
  },
  process(event, { left, soon, atClock, seen, level, sizes, main, side }) {
    seen.add();
    level.set(event.timestamp);
    sizes.observe(event.text().length);
    main.emit(event.key, event.value);
    side.emit(null, 'side', { headers: [['input', event.key]] });
    const what = event.text();
    if (what === 'timer') soon.register(event.timestamp + 10);
    else if (what === 'cancel') soon.cancel(event.timestamp + 10);
    else if (what === 'clock') atClock.registerIn(100);
    else if (what === 'forward') side.forward(event);
    else if (what === 'too-late') main.emit('k', '', { at: 2 ** 63 });
    else if (what === 'reject') {
      soon.register(1);
      log.warn(`refusing ${event.timestamp}`);
      throw new Reject(`told to, on the ${event.isFrom(left) ? 'left' : 'right'}`);
    }
  },
  onTimer(timer, { soon, atClock, main, context }) {
    if (timer.keyText() === 'bad') {
      main.emit(timer.key, 'never seen');
      throw new Reject('a bad key');
    }
    main.emit(timer.key, `${timer.name} ${timer.source === atClock} ${context.nowMs()}`);
    if (timer.source === soon && timer.time < 13) soon.register(timer.time + 1);
  },
  onWatermark(watermark, { side }) {
    if (watermark !== END_OF_INPUT) side.emit(null, 'watermark', { at: watermark });
  },
  close({ side }) {
    side.emit(null, 'closed', { at: 0 });
  },
});

/** Fails in every way. */
export const failing = defineOperator({
  name: 'failing',
  declare: { seen: value(number, { initial: 0 }), out: output() },
  process(event, { seen, out }) {
    seen.update((n) => n + 1);
    out.emit(event.key, String(seen.get()));
    const what = event.text();
    if (what === 'retry') throw new Retry(7);
    if (what === 'fatal') throw new Fatal('told to');
    if (what === 'bug') null.nothing();
    if (what === 'parse') rejecting(() => JSON.parse(what));
    if (what === 'json') event.json();
    if (what === 'number') out.emit(event.key, 5);
    if (what === 'nothing') out.emitJson(event.key, undefined);
    if (what === 'big') out.emitJson(event.key, 5n);
  },
});

/** Does what the lines of the event's value say, as JavaScript; refuses the event where one says `reject`. */
export const script = defineOperator({
  name: 'script',
  declare: {
    account: value(json, { initial: () => ({ name: 'nnn', cents: 0 }) }),
    note: value(text),
    big: value(bigint, { initial: 0n }),
    raw: value(bytes),
    flag: value(boolean, { initial: false }),
    dates: value(codec({ encode: (d) => Uint8Array.of(d.getTime()), decode: ([time]) => new Date(time) })),
    named: map(integerKey, text),
    pairs: map(pairKey(textKey), json),
    items: list(number),
    highest: reducing(number, Math.max),
    mean: aggregating(json, { start: () => [0, 0], add: ([s, n], x) => [s + x, n + 1], result: ([s, n]) => s / n }),
    out: output(),
  },
  process(event, s) {
    const credit = (cents) => s.account.update((a) => ({ ...a, cents: a.cents + cents }));
    for (const line of event.text().split('\n')) {
      if (line === 'reject') throw new Reject('told to');
      const run = (code) => new Function('s', 'credit', code)(s, credit);
      if (line.startsWith('? ')) s.out.emitJson(event.key, run(`return ${line.slice(2)}`) ?? null);
      else run(line);
    }
  },
});
