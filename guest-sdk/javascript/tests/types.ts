// Types that have to hold and mistakes that have to be seen, for `tsc -p tests`. Nothing of it runs.

import { defineOperator, eventTimer, integerKey, jsonOf, list, map, number, output, settings, text, value } from '@tidemill/sdk';
import { counter, defineAggregator } from '@tidemill/sdk/aggregator';
import { AggregateHarness, Harness, record } from '@tidemill/sdk/testing';

interface Account {
  cents: number;
}

const config = settings({ limit: Number, prefix: '' });

export const operator = defineOperator({
  name: 'typed',
  config,
  declare: {
    seen: value(number, { initial: 0 }),
    account: value(jsonOf<Account>()),
    days: map(integerKey, text),
    items: list(jsonOf<Account>(), { ttl: '10s', clock: 'event' }),
    // @ts-expect-error: not a unit of time
    late: value(number, { ttl: '10 weeks' }),
    end: eventTimer(),
    out: output(),
  },
  process(event, op) {
    const seen: number = op.seen.update((n) => n + op.config.limit);
    const cents: number | undefined = op.account.get()?.cents;
    const days: Array<[number, string]> = op.days.entries({ start: 1 });
    op.out.emit(event.key, op.config.prefix + event.text(), { at: seen });
    op.out.emitJson(null, { cents, days });
    op.items.push({ cents: 1 });
    op.end.register(event.timestamp);
    // @ts-expect-error: a number is no text
    op.days.set(1, 2);
    // @ts-expect-error: there may be no account
    op.account.get().cents;
    // @ts-expect-error: a number is no key
    op.out.emit(5, 'x');
    // @ts-expect-error: not declared
    op.missing;
    // @ts-expect-error: not in the configuration
    op.config.threshold;
  },
  onTimer(timer, op) {
    if (timer.source === op.end) op.out.emit(timer.key, timer.keyText());
  },
});

export const aggregate = defineAggregator({
  name: 'typed',
  accumulator: jsonOf<Account>(),
  declare: { results: counter() },
  start: () => ({ cents: 0 }),
  add(account, event) {
    account.cents += event.json<Account>().cents;
  },
  merge: (account, later) => ({ cents: account.cents + later.cents }),
  finish(window, account, rows, { results }) {
    results.add();
    rows.emitJson({ key: window.keyText(), ...account });
    // @ts-expect-error: no such sum
    account.dollars;
  },
});

const harness = new Harness(operator, { limit: 1 });
harness.send(record('a', 'x', { time: 5 }));
new AggregateHarness(aggregate, {}, { windowMs: 5 }).send(record('a', '{"cents":1}'));
// @ts-expect-error: an aggregate has no ports
new AggregateHarness(aggregate).output('out');
