// A process for one call: the script and the call, as JSON, are the arguments; events go to standard output as JSON lines.

import { perform } from './call.mjs';

const [script, call] = process.argv.slice(2);
await perform(script, JSON.parse(call), (event, values = {}) =>
  process.stdout.write(`${JSON.stringify({ event, ...values })}\n`),
);
