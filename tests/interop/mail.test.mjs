// nodemailer through CONNECT: the server speaks first, so nothing may wait for the client; TLS is the server's own.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { runClient } from './harness/client.mjs';
import { startMail } from './harness/mail.mjs';
import { until } from './harness/process.mjs';
import { assertRefusal, assertRow, setScene } from './harness/scene.mjs';
import { ALLOWED, DENIED, DOWN } from './harness/verdicts.mjs';

const TUNNEL = {
  kind: 'tunnel',
  id_assurance: 'absent',
  method: 'CONNECT',
  path: null,
  user_agent: null,
  tls_version: null,
};
const VARIANTS = [
  ['starttls', { implicit: false }],
  ['implicit-tls', { implicit: true }],
];

let scene;
const mail = {};
before(async () => {
  const names = [...VARIANTS.map(([label]) => label), 'web'];
  // The ports of the origins are random, so the hosts are marked; ports 25, 465, 587 and 2525 are tunnelled by default.
  const args = ['*.allowed.test', '*.down.test', '*.denied.test'].flatMap((hosts) => ['--tunnel-host', hosts]);
  scene = await setScene({ name: 'mail', names, routes: {}, args });
  for (const [label, options] of VARIANTS) mail[label] = await startMail({ ...options, tls: scene.tls });
});
after(async () => {
  await scene?.stop();
  await Promise.all(Object.values(mail).map((origin) => origin.close()));
});

for (const [label, options] of VARIANTS) {
  // Only the origins' CA is trusted here: an intercepted handshake would fail.
  const send = (host, port) =>
    runClient(
      'nodemailer.mjs',
      { ...options, host, port, proxyUrl: scene.gate.proxyUrl, subject: 'Alert', text: 'CPU is hot' },
      { trust: scene.authority.certFile },
    );

  describe(`nodemailer, ${label}`, () => {
    test('allowed: delivered, counted and not looked into', async () => {
      const host = `${label}.allowed.test`;
      const origin = mail[label];
      const result = await send(host, origin.port);
      assert.deepEqual(result.accepted, ['oncall@example.com'], JSON.stringify(result));
      assert.match(origin.messages[0], /^Subject: Alert\r$/m);
      const wire = await until('the SMTP connection to end', () => origin.wire[0]);
      const row = await scene.gate.row(host);
      assertRow(row, {
        ...TUNNEL,
        ...ALLOWED,
        host,
        port: origin.port,
        request_bytes: wire.received,
        response_bytes: wire.sent,
      });
      assert.equal(row.connect_host, `${host}:${origin.port}`);
    });

    test('denied: CONNECT is answered 403', async () => {
      const host = `${label}.denied.test`;
      const { error } = await send(host, mail[label].port);
      assert.match(error.message, /^Invalid response from proxy: 403/);
      assertRow(await scene.gate.row(host), { ...TUNNEL, ...DENIED, host, port: mail[label].port });
    });

    test('upstream down: CONNECT is answered 502', async () => {
      const host = `${label}.down.test`;
      const { error } = await send(host, scene.deadPort);
      assert.match(error.message, /^Invalid response from proxy: 502/);
      assertRow(await scene.gate.row(host), { ...TUNNEL, ...DOWN, host, port: scene.deadPort });
    });
  });
}

describe('axios to a host that is never intercepted', () => {
  const get = (host) =>
    runClient(
      'axios.mjs',
      { url: `https://${host}:${scene.secure.port}/`, proxyUrl: scene.gate.proxyUrl },
      { trust: scene.authority.certFile },
    );

  test('allowed: the client sees the certificate of the origin', async () => {
    const host = 'web.allowed.test';
    const { error } = await get(host);
    assert.equal(error.status, 404); // From the origin: it has no routes here.
    assert.equal(scene.secure.at(host).length, 1);
    assertRow(await scene.gate.row(host), { ...TUNNEL, ...ALLOWED, host, port: scene.secure.port });
  });

  test('denied at CONNECT: the body of the refusal becomes the response', async () => {
    const host = 'web.denied.test';
    const { error } = await get(host);
    const row = await scene.gate.row(host);
    assertRow(row, { ...TUNNEL, ...DENIED, host, port: scene.secure.port });
    assert.equal(error.status, 403);
    assertRefusal(error.body, row);
  });
});
