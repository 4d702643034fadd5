// The clients without a proxy: when this fails, the clients or the origins are at fault and not the gate.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { makeAuthority } from './harness/authority.mjs';
import { runClient } from './harness/client.mjs';
import { workDirectory } from './harness/gate.mjs';
import { startMail } from './harness/mail.mjs';
import { json, startOrigin } from './harness/origin.mjs';

const HOST = 'direct.allowed.test';

let authority;
let origin;
let mail;
before(async () => {
  authority = makeAuthority(workDirectory('direct'), 'origin-ca');
  const tls = authority.issue(['*.allowed.test']);
  const chunk = JSON.stringify({ choices: [{ index: 0, delta: { content: 'hi' } }] });
  const routes = {
    '/hook': json({ ok: true }),
    '/slack': (response) => response.end('ok'),
    '/v1/chat/completions': (response) => response.end(`data: ${chunk}\n\ndata: [DONE]\n\n`),
  };
  origin = await startOrigin({ tls, routes });
  mail = await startMail({ tls, implicit: false });
});
after(() => Promise.all([origin.close(), mail.close()]));

const CASES = {
  'axios.mjs': { call: { path: '/hook' }, expected: { status: 200, body: { ok: true } } },
  'undici.mjs': { call: { path: '/hook' }, expected: { status: 200, body: { ok: true } } },
  'slack.mjs': { call: { path: '/slack', text: 'hi' }, expected: { body: 'ok' } },
  'openai.mjs': { call: { path: '/v1', text: 'hi', retries: 0 }, expected: { text: 'hi' } },
  'websocket.mjs': { call: { path: '/socket', messages: ['a'] }, expected: { status: 101, echoes: ['a'], code: 1000 } },
};
for (const [script, { call, expected }] of Object.entries(CASES)) {
  test(script, async () => {
    const url = `https://${HOST}:${origin.port}${call.path}`.replace(
      'https',
      script === 'websocket.mjs' ? 'wss' : 'https',
    );
    const result = await runClient(script, { ...call, url }, { trust: authority.certFile, direct: true });
    assert.deepEqual(result, { event: 'result', ok: true, ...expected });
  });
}

test('nodemailer.mjs', async () => {
  const call = { host: HOST, port: mail.port, implicit: false, subject: 'Alert', text: 'CPU is hot' };
  const result = await runClient('nodemailer.mjs', call, { trust: authority.certFile, direct: true });
  assert.deepEqual(result.accepted, ['oncall@example.com'], JSON.stringify(result));
});
