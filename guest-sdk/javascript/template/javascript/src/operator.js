// {{name}}: gives out each value that is longer than all before it of the same key.

import { defineOperator, number, output, value } from '@tidemill/sdk';

export const operator = defineOperator({
  name: '{{name}}',
  version: '0.1.0',
  // What the operator keeps and where it emits.
  declare: { longest: value(number, { initial: 0 }), lines: output() },

  process(event, { longest, lines }) {
    const line = event.text();
    if (line.length > longest.get()) {
      longest.set(line.length);
      lines.emit(event.key, line);
    }
  },
});
