// The code of guest-sdk/JAVASCRIPT.md runs as it stands.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import test from 'node:test';

test('every block runs', async (t) => {
  const document = fs.readFileSync(new URL('../../JAVASCRIPT.md', import.meta.url), 'utf8');
  const blocks = [...document.matchAll(/```js\n(.*?)```/gs)].map(([, code]) => code);
  assert.equal(blocks.length, 3);
  const [operator, aggregate, tests] = blocks;
  const asserted = tests.replaceAll('console.assert', 'assert').replace('import {', "import assert from 'node:assert/strict';\nimport {");
  const scratch = new URL('documents.generated.mjs', import.meta.url);
  t.after(() => fs.rmSync(scratch, { force: true }));
  for (const code of [`${operator}\n${asserted}`, aggregate]) {
    fs.writeFileSync(scratch, code);
    await import(`${scratch}?${code.length}`);
  }
});
