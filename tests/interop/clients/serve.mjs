// A process for many calls, one after the other, as Kibana is one process for all its connectors. A call comes as a message
// `{id, script, call}` and its events go back as `{id, event, ...}`; the result names the requests the client wrote into TLS.

import { perform } from './call.mjs';
import { tapTls } from './tls-tap.mjs';

const written = tapTls();
let before = Promise.resolve();

process.on('message', ({ id, script, call }) => {
  before = before.then(() =>
    perform(script, call, (event, values) => {
      const requests = event === 'result' ? { requests: written() } : {};
      process.send({ id, event, ...values, ...requests });
    }),
  );
});
process.on('disconnect', () => process.exit());
