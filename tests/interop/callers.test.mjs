// Who is calling, by more than its word: credentials in proxyUrl, headers of proxyHeaders, a TLS listener.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { bundle, runClient } from './harness/client.mjs';
import { startMail } from './harness/mail.mjs';
import { json } from './harness/origin.mjs';
import { assertRefusal, assertRow, setScene } from './harness/scene.mjs';

const OWN = 'c3'.repeat(16);
const FOREIGN = 'd4'.repeat(16);
const PASSWORD = 'p:ss w@rd';
const BASIC = `Basic ${Buffer.from(`kibana-prod:${PASSWORD}`).toString('base64')}`;
const LAB_HEADER = { name: 'X-Tollgate-Client', value: 'lab-7f3a' };
const VERIFIED = {
  client_identity: 'kibana-prod',
  deployment_id: OWN,
  id_assurance: 'verified',
  decision: 'allow',
  outcome: 'completed',
};
const UNKNOWN = {
  client_identity: null,
  decision: 'deny',
  deny_reason: 'client_not_authenticated',
  outcome: 'denied',
  status: 407,
};

let scene;
let mail;
let trust;
before(async () => {
  const names = [
    'header',
    'userinfo',
    'undici',
    'mail',
    'lab',
    'bound',
    'foreign',
    'anonymous',
    'wrong',
    'tls-old',
    'tls-new',
    'tls-undici',
    'tls-mail',
    'tls-http',
  ];
  const configure = ({ certFile, keyFile }) => ({
    listeners: [
      { name: 'plain', address: '127.0.0.1:0' },
      { name: 'tls', address: '127.0.0.1:0', tls: { cert_file: certFile, key_file: keyFile } },
    ],
    clients: [
      { name: 'kibana-prod', username: 'kibana-prod', password: PASSWORD, deployments: [OWN] },
      { name: 'kibana-lab', header: LAB_HEADER, deployments: [OWN, FOREIGN] },
    ],
    tunnel_hosts: ['mail.allowed.test', 'tls-mail.allowed.test'],
  });
  const policy = { mode: 'enforce', default: 'deny', rules: [{ name: 'everyone', hosts: ['*.allowed.test'] }] };
  const routes = { '/hook': json({ ok: true }) };
  scene = await setScene({ name: 'callers', names, routes, configure, policy, listeners: 2 });
  mail = await startMail({ implicit: false, tls: scene.tls });
  // Interception CA for what is inside the tunnel, the origins' CA for the listener's own certificate and for mail.
  trust = bundle(scene.directory, 'trust.pem', [scene.gate.caFile, scene.authority.certFile]);
});
after(async () => {
  await scene?.stop();
  await mail?.close();
});

const withUserinfo = (proxyUrl, password = PASSWORD) =>
  proxyUrl.replace('://', `://kibana-prod:${encodeURIComponent(password)}@`);
const agent = (deployment) => ({ 'User-Agent': `axios/1.13.5 elastic (deployment:${deployment})` });

function get(script, label, { scheme = 'https', headers = agent(OWN), proxyUrl = scene.gate.proxyUrl, ...call }) {
  const { port } = scheme === 'https' ? scene.secure : scene.plain;
  return runClient(
    script,
    { url: `${scheme}://${label}.allowed.test:${port}/hook`, headers, proxyUrl, ...call },
    { trust },
  );
}

/** What identified the caller to the proxy stays with the proxy. */
function assertNotForwarded(label) {
  const [received] = [...scene.secure.at(`${label}.allowed.test`), ...scene.plain.at(`${label}.allowed.test`)];
  assert.equal(received.headers['proxy-authorization'], undefined);
  assert.equal(received.headers[LAB_HEADER.name.toLowerCase()], undefined);
}

describe('credentials', () => {
  const CASES = [
    ['header', 'axios.mjs', () => ({ proxyHeaders: { 'Proxy-Authorization': BASIC } }), 'intercepted'],
    ['userinfo', 'axios.mjs', () => ({ scheme: 'http', proxyUrl: withUserinfo(scene.gate.proxyUrl) }), 'http'],
    ['undici', 'undici.mjs', () => ({ proxyUrl: withUserinfo(scene.gate.proxyUrl) }), 'intercepted'],
  ];
  for (const [label, script, call, kind] of CASES) {
    test(`${script} with Basic credentials by ${label}`, async () => {
      assert.equal((await get(script, label, call())).status, 200);
      assertNotForwarded(label);
      assertRow(await scene.gate.row(`${label}.allowed.test`), { ...VERIFIED, kind, policy_rule: 'everyone' });
    });
  }

  test('nodemailer with userinfo: the only id its client is bound to', async () => {
    const result = await sendMail('mail', withUserinfo(scene.gate.proxyUrl));
    assert.deepEqual(result.accepted, ['oncall@example.com'], JSON.stringify(result));
    assertRow(await scene.gate.row('mail.allowed.test'), { ...VERIFIED, id_assurance: 'bound', kind: 'tunnel' });
  });

  test('a header of proxyHeaders identifies the client', async () => {
    const call = { proxyHeaders: { [LAB_HEADER.name]: LAB_HEADER.value }, headers: agent(FOREIGN) };
    assert.equal((await get('axios.mjs', 'lab', call)).status, 200);
    assertNotForwarded('lab');
    assertRow(await scene.gate.row('lab.allowed.test'), {
      ...VERIFIED,
      client_identity: 'kibana-lab',
      deployment_id: FOREIGN,
    });
  });

  test('no fragment: the only id the client is bound to', async () => {
    const call = { proxyHeaders: { 'Proxy-Authorization': BASIC }, headers: { 'User-Agent': 'axios/1.13.5' } };
    assert.equal((await get('axios.mjs', 'bound', call)).status, 200);
    assertRow(await scene.gate.row('bound.allowed.test'), { ...VERIFIED, id_assurance: 'bound' });
  });

  test("another deployment's id is refused", async () => {
    const call = { proxyHeaders: { 'Proxy-Authorization': BASIC }, headers: agent(FOREIGN) };
    const { error } = await get('axios.mjs', 'foreign', call);
    assert.equal(error.status, 403);
    const row = await scene.gate.row('foreign.allowed.test');
    assertRow(row, {
      client_identity: 'kibana-prod',
      id_assurance: 'mismatch',
      decision: 'deny',
      deny_reason: 'identity_mismatch',
      outcome: 'denied',
    });
    assertRefusal(error.body, row);
  });

  for (const [label, call] of [
    ['anonymous', () => ({})],
    [
      'wrong',
      () => ({
        proxyHeaders: { 'Proxy-Authorization': `Basic ${Buffer.from('kibana-prod:guess').toString('base64')}` },
      }),
    ],
  ]) {
    test(`${label} credentials: CONNECT is answered 407 with a message`, async () => {
      const { error } = await get('axios.mjs', label, call());
      assert.equal(error.status, 407);
      const row = await scene.gate.row(`${label}.allowed.test`);
      assertRow(row, { ...UNKNOWN, kind: 'connect' });
      assert.equal(error.body.event_id, row.event_id);
      assert.deepEqual(scene.secure.at(`${label}.allowed.test`), []);
    });
  }
});

describe('TLS listener', () => {
  const tlsUrl = () => withUserinfo(scene.gate.proxyUrls.find((url) => url.startsWith('https:')));
  const CASES = [
    // https-proxy-agent 5.0.1 offers the ALPN id "http 1.1" and sends no SNI; a listener with any ALPN list fails here.
    ['tls-old', 'axios.mjs', { agents: 'old' }],
    ['tls-new', 'axios.mjs', { agents: 'new' }],
    ['tls-undici', 'undici.mjs', {}],
    ['tls-http', 'axios.mjs', { agents: 'old', scheme: 'http' }],
  ];
  for (const [label, script, call] of CASES) {
    test(`${script} ${JSON.stringify(call)}`, async () => {
      const result = await get(script, label, { ...call, proxyUrl: tlsUrl() });
      assert.equal(result.status, 200, JSON.stringify(result));
      assertRow(await scene.gate.row(`${label}.allowed.test`), {
        ...VERIFIED,
        kind: call.scheme === 'http' ? 'http' : 'intercepted',
      });
    });
  }

  test('nodemailer', async () => {
    const result = await sendMail('tls-mail', tlsUrl());
    assert.deepEqual(result.accepted, ['oncall@example.com'], JSON.stringify(result));
    assertRow(await scene.gate.row('tls-mail.allowed.test'), { ...VERIFIED, id_assurance: 'bound', kind: 'tunnel' });
  });
});

const sendMail = (label, proxyUrl) =>
  runClient(
    'nodemailer.mjs',
    { implicit: false, host: `${label}.allowed.test`, port: mail.port, proxyUrl, subject: 'Alert', text: 'CPU is hot' },
    { trust },
  );
