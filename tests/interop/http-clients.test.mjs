// axios, undici and @slack/webhook: each allowed, denied and with its upstream down; each asserts its row.

import assert from 'node:assert/strict';
import { join, relative } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { runClient } from './harness/client.mjs';
import { filesBelow, rows } from './harness/gate.mjs';
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

let scene;
let dataDir;
before(async () => {
  const routes = { '/hook': json(REPLY), [SLACK_PATH]: (response) => response.end('ok') };
  const names = [
    ...CLIENTS.map(([label]) => label),
    'slack-https',
    'slack-http',
    'untrusting-tls12',
    'untrusting-tls13',
    'wrong-certificate',
  ];
  scene = await setScene({ name: 'http-clients', names, routes });
  dataDir = scene.gate.dataDir;
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
  const proxyOwn = names.filter((name) =>
    /^(via|forwarded|x-forwarded-.*|x-real-ip|proxy-.*|x-request-id)$/.test(name),
  );
  assert.deepEqual(proxyOwn, []);
  assert.equal(received.headers.host, `${host}:${port}`);
  assert.equal(received.headers['user-agent'], `axios/1.7.2 elastic (deployment:${DEPLOYMENT})`);
  assert.equal(received.target, '/hook');
}

for (const scheme of ['https', 'http']) {
  const label = `slack-${scheme}`;
  const post = (host, port) =>
    runClient(
      'slack.mjs',
      { url: `${scheme}://${host}:${port}${SLACK_PATH}`, text: 'hi', proxyUrl: scene.gate.proxyUrl },
      { trust: scene.trust },
    );
  const origin = () => (scheme === 'https' ? scene.secure : scene.plain);
  const kind = scheme === 'https' ? 'intercepted' : 'http';

  describe(`@slack/webhook over ${scheme}`, () => {
    test('allowed, and its secret never reaches the disk', async () => {
      const host = `${label}.allowed.test`;
      assert.deepEqual((await post(host, origin().port)).body, 'ok');
      assert.deepEqual(
        origin()
          .at(host)
          .map((received) => received.target),
        [SLACK_PATH],
      );
      const row = await scene.gate.row(host);
      assertRow(row, {
        ...ALLOWED,
        kind,
        host,
        method: 'POST',
        id_assurance: 'absent',
        deployment_id: null,
        status: 200,
        response_bytes: 2,
      });
      assert.match(row.user_agent, /^@slack:webhook\/7\.2\.0 /);
      assert.match(row.url_fingerprint, /^[0-9a-f]{64}$/);
      const secret = SLACK_PATH.split('/').at(-1);
      const leaks = filesBelow(scene.gate.dataDir).filter(({ bytes }) => bytes.includes(secret));
      assert.deepEqual(
        leaks.map(({ path }) => path),
        [],
      );
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

// Node sends no alert: over TLS 1.3 it closes before its Finished, over TLS 1.2 after the handshake, without a request.
for (const [label, nodeOptions] of [
  ['tls13', ''],
  ['tls12', '--tls-max-v1.2'],
]) {
  test(`a client that does not trust the interception CA leaves a row that says so, ${label}`, async () => {
    const host = `untrusting-${label}.allowed.test`;
    const call = { url: `https://${host}:${scene.secure.port}/hook`, proxyUrl: scene.gate.proxyUrl };
    const { error } = await runClient('axios.mjs', call, { trust: scene.authority.certFile, nodeOptions });
    assert.equal(error.code, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE');
    const row = await scene.gate.row(host);
    const outcome = { outcome: 'client_rejected_ca', method: 'CONNECT', path: null, status: null };
    assertRow(row, { ...outcome, kind: 'connect', host, port: scene.secure.port });
    assert.match(row.error, /set NODE_EXTRA_CA_CERTS, as `tollgate kibana-config` prints/);
  });
}

test('an upstream whose certificate is for another name is not spoken to', async () => {
  const host = 'wrong-certificate.down.test';
  const url = `https://${host}:${scene.secure.port}/hook`;
  const { error } = await runClient('axios.mjs', { url, proxyUrl: scene.gate.proxyUrl }, { trust: scene.trust });
  assert.equal(error.status, 502);
  assertRow(await scene.gate.row(host), { ...DOWN, kind: 'intercepted', host, upstream_port: scene.secure.port });
  assert.deepEqual(scene.secure.at(host), []);
});

test('every exchange left exactly one row, and sealing changed none of them', async () => {
  const byId = (found) => found.toSorted((a, b) => a.event_id.localeCompare(b.event_id));
  const live = await scene.gate.rows();
  const hosts = live.map(({ host }) => host);
  assert.deepEqual(
    hosts.filter((host, at) => hosts.indexOf(host) !== at),
    [],
  );
  assert.equal(hosts.length, 3 * (CLIENTS.length + 2) + 3);

  await scene.stop();
  scene = undefined;
  assert.deepEqual(byId(await rows(dataDir)), byId(live));
  const sealed = filesBelow(join(dataDir, 'audit')).map(({ path }) => relative(dataDir, path));
  assert.ok(sealed.length > 0);
  const misplaced = sealed.filter((path) => !/^audit\/event_date=\d{4}-\d\d-\d\d\/.+-\d+-\d+-\d+\.parquet$/.test(path));
  assert.deepEqual(misplaced, []);
});
