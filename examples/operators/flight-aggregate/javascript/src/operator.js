// Departure statistics of an airport, as a window aggregate: rows of flights in, one result per airport and window out. Which
// windows, how late an event may be and when results come is the pipeline file's affair.

import { counter, defineAggregator, Reject, settings } from '@tidemill/sdk/aggregator';

const later = (a, b) => (a === null || b === null ? (a ?? b) : Math.max(a, b));

export const aggregate = defineAggregator({
  name: 'flight-aggregate',
  version: '0.1.0',
  // A flight that leaves more minutes late than this counts as late.
  config: settings({ threshold_minutes: 15 }),
  declare: { results: counter() },

  // Whole numbers, so that the order of the flights changes nothing.
  start: () => ({ count: 0, cancelled: 0, late: 0, delaySum: 0, worst: null }),

  add(flights, event, { config }) {
    const text = String(event.json().dep_delay_min).trim();
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
    for (const sum of ['count', 'cancelled', 'late', 'delaySum']) flights[sum] += others[sum];
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
