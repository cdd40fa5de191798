// {{name}}: how many events a window has, and how long the longest is.

import { defineAggregator } from '@tidemill/sdk/aggregator';

export const aggregate = defineAggregator({
  name: '{{name}}',
  version: '0.1.0',

  // What is kept of the events of a window; it is all that lasts.
  start: () => ({ events: 0, longest: 0 }),

  add(lengths, event) {
    lengths.events += 1;
    lengths.longest = Math.max(lengths.longest, event.text().length);
  },

  merge(lengths, later) {
    lengths.events += later.events;
    lengths.longest = Math.max(lengths.longest, later.longest);
  },

  finish(window, lengths, rows) {
    rows.emitJson(lengths);
  },
});
