// How often each key came: emits the count so far, as decimal text, for every event.

import { defineOperator, number, output, value } from '@tidemill/sdk';

export const operator = defineOperator({
  name: 'count',
  version: '0.1.0',
  declare: { seen: value(number, { initial: 0 }), counts: output() },
  process(event, { seen, counts }) {
    counts.emit(event.key, String(seen.update((n) => n + 1)));
  },
});
