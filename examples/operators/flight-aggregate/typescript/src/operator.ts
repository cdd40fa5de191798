// Departure statistics of an airport, as a window aggregate: rows of flights in, one result per airport and window out. Which
// windows, how late an event may be and when results come is the pipeline file's affair.

import { counter, defineAggregator, jsonOf, Reject, settings } from '@tidemill/sdk/aggregator';

/** What is kept of some flights; whole numbers, so that their order changes nothing. */
interface Flights {
  count: number;
  cancelled: number;
  late: number;
  delaySum: number;
  worst: number | null;
}

// A flight that leaves more minutes late than this counts as late.
const config = settings({ threshold_minutes: 15 });

const later = (a: number | null, b: number | null) => (a === null || b === null ? (a ?? b) : Math.max(a, b));

export const aggregate = defineAggregator({
  name: 'flight-aggregate',
  version: '0.1.0',
  config,
  accumulator: jsonOf<Flights>(),
  declare: { results: counter() },

  start: () => ({ count: 0, cancelled: 0, late: 0, delaySum: 0, worst: null }),

  add(flights, event, { config }) {
    const text = String(event.json<{ dep_delay_min: unknown }>().dep_delay_min).trim();
    flights.count += 1;
    if (text === '') {
      flights.cancelled += 1;
      return;
    }
    const minutes = Number(text);
    if (!Number.isInteger(minutes)) throw new Reject(`dep_delay_min ${text} is no whole number of minutes`);
    flights.delaySum += minutes;
    flights.late += minutes > config.threshold_minutes ? 1 : 0;
    flights.worst = later(flights.worst, minutes);
  },

  merge(flights, others) {
    flights.count += others.count;
    flights.cancelled += others.cancelled;
    flights.late += others.late;
    flights.delaySum += others.delaySum;
    flights.worst = later(flights.worst, others.worst);
  },

  finish(window, { count, cancelled, late, delaySum, worst }, rows, { results }) {
    const flown = count - cancelled;
    results.add();
    rows.emitJson({
      origin: window.keyText(),
      from: window.start,
      to: window.end,
      count,
      cancelled,
      late,
      mean: flown > 0 ? delaySum / flown : null,
      worst,
    });
  },
});
