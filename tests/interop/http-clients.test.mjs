// axios, undici and @slack/webhook: each allowed, denied and with its upstream down; each asserts its row.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { runClient } from './harness/client.mjs';
import { filesBelow } from './harness/gate.mjs';
import { json } from './harness/origin.mjs';
import { assertRefusal, assertRow, setScene } from './harness/scene.mjs';
import { ALLOWED, DENIED, DOWN } from './harness/verdicts.mjs';

const DEPLOYMENT = '0763c7f3a5cf4fc78981d801d2b8af6a';
const REPLY = { accepted: true, note: 'grüße' };
const REPLY_BYTES = Buffer.byteLength(JSON.stringify(REPLY));
const ALERT = { rule: 'cpu', severity: 'high', text: 'Ünïcode' };

/** Label of the host, script, its options, scheme, and the kind of row it must leave. */
const CLIENTS = [
  ['axios-old-agents-old', 'axios.mjs', { axios: 'old', agents: 'old' }, 'https', 'intercepted'],
  ['axios-old-agents-new', 'axios.mjs', { axios: 'old', agents: 'new' }, 'https', 'intercepted'],
  ['axios-new-agents-old', 'axios.mjs', { axios: 'new', agents: 'old' }, 'https', 'intercepted'],
  ['axios-new-agents-new', 'axios.mjs', { axios: 'new', agents: 'new' }, 'https', 'intercepted'],
  ['axios-absolute-agents-old', 'axios.mjs', { axios: 'new', agents: 'old' }, 'http', 'http'],
  ['axios-absolute-agents-new', 'axios.mjs', { axios: 'new', agents: 'new' }, 'http', 'http'],
  ['undici-old-https', 'undici.mjs', { undici: 'old' }, 'https', 'intercepted'],
  ['undici-new-https', 'undici.mjs', { undici: 'new' }, 'https', 'intercepted'],
  ['undici-old-connect-http', 'undici.mjs', { undici: 'old' }, 'http', 'http'],
  ['undici-new-connect-http', 'undici.mjs', { undici: 'new' }, 'http', 'http'],
];
const SLACK_PATH = '/services/T024BE7LD/B024BE7LD/k9Xf2mQ8vR4tY7wZ1aB3cD5e';
const WRONG_CERTIFICATE = 'axios-wrong-certificate';

let scene;
before(async () => {
  const routes = { '/hook': json(REPLY), [SLACK_PATH]: (response) => response.end('ok') };
  const names = [...CLIENTS.map(([label]) => label), 'slack-https', 'slack-http', WRONG_CERTIFICATE];
  scene = await setScene({ name: 'http-clients', names, routes });
});
after(() => scene?.stop());

for (const [label, script, options, scheme, kind] of CLIENTS) {
  const call = (host, port) =>
    runClient(
      script,
      {
        ...options,
        url: `${scheme}://${host}:${port}/hook`,
        method: 'POST',
        data: ALERT,
        headers: { 'Content-Type': 'application/json', 'User-Agent': `axios/1.7.2 elastic (deployment:${DEPLOYMENT})` },
        proxyUrl: scene.gate.proxyUrl,
      },
      { trust: scene.trust },
    );
  const origin = () => (scheme === 'https' ? scene.secure : scene.plain);
  const common = { kind, scheme, method: 'POST', deployment_id: DEPLOYMENT, project_id: null, id_assurance: 'claimed' };

  describe(label, () => {
    test('allowed', async () => {
      const host = `${label}.allowed.test`;
      const result = await call(host, origin().port);
      assert.deepEqual([result.status, result.body], [200, REPLY]);

      const [received, ...more] = origin().at(host);
      assert.equal(more.length, 0);
      assert.deepEqual(JSON.parse(received.body), ALERT);
      assertNothingAdded(received, host, origin().port);
      assertRow(await scene.gate.row(host), {
        ...common,
        ...ALLOWED,
        host,
        port: origin().port,
        path: '/hook',
        user_agent_product: 'axios/1.7.2',
        request_bytes: received.body.length,
        response_bytes: REPLY_BYTES,
        status: 200,
        upstream_port: origin().port,
      });
    });

    test('denied', async () => {
      const host = `${label}.denied.test`;
      const result = await call(host, origin().port);
      const row = await scene.gate.row(host);
      assertRow(row, { ...common, ...DENIED, host, port: origin().port });
      assert.equal(result.status ?? result.error.status, 403);
      assertRefusal(result.body ?? result.error.body, row);
      assert.deepEqual(origin().at(host), []);
    });

    test('upstream down', async () => {
      const host = `${label}.down.test`;
      const result = await call(host, scene.deadPort);
      const row = await scene.gate.row(host);
      assertRow(row, { ...common, ...DOWN, host, port: scene.deadPort });
      assert.equal(typeof row.error, 'string');
      assert.equal(result.status ?? result.error.status, 502);
      assertRefusal(result.body ?? result.error.body, row);
    });
  });
}

/** The forwarded head has the client's own lines and none of the proxy's. */
function assertNothingAdded(received, host, port) {
  const names = received.headerLines.map(([name]) => name.toLowerCase());
  assert.equal(new Set(names).size, names.length, `repeated header lines: ${names}`);
  const proxyOwn = names.filter((name) => /^(via|forwarded|x-forwarded-.*|x-real-ip|proxy-.*|x-request-id)$/.test(name));
  assert.deepEqual(proxyOwn, []);
  assert.equal(received.headers.host, `${host}:${port}`);
  assert.equal(received.headers['user-agent'], `axios/1.7.2 elastic (deployment:${DEPLOYMENT})`);
  assert.equal(received.target, '/hook');
}

for (const scheme of ['https', 'http']) {
  const label = `slack-${scheme}`;
  const post = (host, port) =>
    runClient('slack.mjs', { url: `${scheme}://${host}:${port}${SLACK_PATH}`, text: 'hi', proxyUrl: scene.gate.proxyUrl }, { trust: scene.trust });
  const origin = () => (scheme === 'https' ? scene.secure : scene.plain);
  const kind = scheme === 'https' ? 'intercepted' : 'http';

  describe(`@slack/webhook over ${scheme}`, () => {
    test('allowed, and its secret never reaches the disk', async () => {
      const host = `${label}.allowed.test`;
      assert.deepEqual((await post(host, origin().port)).body, 'ok');
      assert.deepEqual(origin().at(host).map((received) => received.target), [SLACK_PATH]);
      const row = await scene.gate.row(host);
      assertRow(row, { ...ALLOWED, kind, host, method: 'POST', id_assurance: 'absent', deployment_id: null, status: 200, response_bytes: 2 });
      assert.match(row.user_agent, /^@slack:webhook\/7\.2\.0 /);
      assert.match(row.url_fingerprint, /^[0-9a-f]{64}$/);
      const secret = SLACK_PATH.split('/').at(-1);
      const leaks = filesBelow(scene.gate.dataDir).filter(({ bytes }) => bytes.includes(secret));
      assert.deepEqual(leaks.map(({ path }) => path), []);
    });

    test('denied', async () => {
      const host = `${label}.denied.test`;
      const { error } = await post(host, origin().port);
      const row = await scene.gate.row(host);
      assertRow(row, { ...DENIED, kind, host });
      assert.equal(error.status, 403);
      assertRefusal(error.body, row);
    });

    test('upstream down', async () => {
      const host = `${label}.down.test`;
      const { error } = await post(host, scene.deadPort);
      assert.equal(error.status, 502);
      assertRow(await scene.gate.row(host), { ...DOWN, kind, host });
    });
  });
}

test('a client that does not trust the interception CA leaves a row that says so', async () => {
  const host = 'axios-new-agents-old.allowed.test';
  const url = `https://${host}:${scene.secure.port}/untrusted`;
  const { error } = await runClient('axios.mjs', { url, proxyUrl: scene.gate.proxyUrl }, { trust: scene.authority.certFile });
  assert.equal(error.code, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE');
  const row = await scene.gate.row(host, ({ outcome }) => outcome === 'client_rejected_ca');
  assertRow(row, { kind: 'connect', host, port: scene.secure.port, method: null, path: null, status: null });
  assert.match(row.error, /NODE_EXTRA_CA_CERTS/);
});

test('an upstream whose certificate is for another name is not spoken to', async () => {
  const host = `${WRONG_CERTIFICATE}.down.test`;
  const url = `https://${host}:${scene.secure.port}/hook`;
  const { error } = await runClient('axios.mjs', { url, proxyUrl: scene.gate.proxyUrl }, { trust: scene.trust });
  assert.equal(error.status, 502);
  assertRow(await scene.gate.row(host), { ...DOWN, kind: 'intercepted', host, upstream_port: scene.secure.port });
  assert.deepEqual(scene.secure.at(host), []);
});
