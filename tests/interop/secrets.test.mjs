// What is refused, what breaks and what is no HTTP leaves no secret either: not in its row, its error text, the log at
// `trace`, the metrics or the refusal itself. What succeeds is in `connectors.test.mjs`.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { makeSearch, makeSecret } from './harness/canary.mjs';
import { filesBelow } from './harness/gate.mjs';
import { until } from './harness/process.mjs';
import { assertRow, setScene } from './harness/scene.mjs';

const PROXY_PASSWORD = 'p4ss-of-the-lab';
const ALLOWED = { decision: 'allow', deny_reason: null, outcome: 'completed' };
const refused = (reason, status = 400) => ({ deny_reason: reason, outcome: 'denied', status });
const basic = (credentials) => `Basic ${Buffer.from(credentials).toString('base64')}`;

/**
 * @typedef {object} Case
 * @property {string} what
 * @property {(secret: string, at: {host: string, port: number, deadPort: number}) => string} send what the client writes
 * @property {object} row columns of its row
 * @property {boolean} [inside] sent inside an intercepted tunnel; else to the proxy itself
 * @property {string} [host] first labels of the host
 */

/** @type {Case[]} */
const CASES = [
  {
    what: 'a host that is not allowed',
    host: 'one.denied.test',
    send: (secret, { host }) =>
      head(`POST http://${host}/services/${secret}?token=${secret}`, host, [`X-Key: ${secret}`]),
    row: { ...refused('host_not_allowed', 403) },
  },
  {
    what: 'a host that is not allowed, inside a tunnel',
    host: 'two.denied.test',
    inside: true,
    send: (secret, { host, port }) =>
      head(`GET /services/${secret}?${secret}`, `${host}:${port}`, [`Cookie: s=${secret}`]),
    row: { ...refused('host_not_allowed', 403) },
  },
  {
    what: 'an upstream that is down',
    host: 'three.down.test',
    send: (secret, { host, deadPort }) =>
      head(`GET http://${host}:${deadPort}/v1/${secret}?key=${secret}`, `${host}:${deadPort}`, [
        `Authorization: Bearer ${secret}`,
      ]),
    row: { decision: 'allow', outcome: 'upstream_failed', status: 502 },
  },
  {
    what: 'credentials in the authority of a CONNECT',
    send: (secret, { host }) => head(`CONNECT kibana:${secret}@${host}:443`, host),
    row: { ...refused('invalid_authority') },
  },
  {
    what: 'credentials in an absolute URL',
    send: (secret, { host }) => head(`GET http://kibana:${secret}@${host}/`, host),
    row: { ...refused('invalid_authority') },
  },
  {
    what: 'credentials in the Host field',
    inside: true,
    send: (secret, { host, port }) => head('GET /', `kibana:${secret}@${host}:${port}`),
    row: { ...refused('invalid_authority') },
  },
  {
    what: 'a CONNECT for a path',
    send: (secret, { host }) => head(`CONNECT /services/${secret}`, host),
    row: { ...refused('invalid_authority') },
  },
  {
    what: 'https without CONNECT',
    send: (secret, { host }) => head(`GET https://${host}/services/${secret}`, host),
    row: { ...refused('unsupported_request') },
  },
  {
    what: 'a path without a host',
    send: (secret, { host }) => head(`POST /services/${secret}?key=${secret}`, host),
    row: { ...refused('unsupported_request') },
  },
  {
    what: 'two lengths',
    inside: true,
    send: (secret, { host, port }) =>
      head(`POST /${secret}`, `${host}:${port}`, ['Content-Length: 3', 'Content-Length: 4', `X-Key: ${secret}`]) +
      secret,
    row: { ...refused('ambiguous_length') },
  },
  {
    what: 'a field line without a colon',
    send: (secret, { host }) => head(`GET http://${host}/`, host, [`X-Api-Key ${secret}`]),
    row: { ...refused('malformed_request') },
  },
  {
    what: 'a field name that is no token',
    send: (secret, { host }) => head(`GET http://${host}/`, host, [`${secret}(): x`]),
    row: { ...refused('malformed_request') },
  },
  {
    what: 'a control character in the target',
    send: (secret, { host }) => head(`GET http://${host}/${secret}\u0001`, host),
    row: { ...refused('malformed_request') },
  },
  {
    what: 'a head that is too large',
    send: (secret, { host }) => head(`GET http://${host}/`, host, Array(4000).fill(`X-Key: ${secret}`)),
    row: { ...refused('head_too_large', 431) },
  },
  {
    what: 'a protocol that is not HTTP, inside a tunnel',
    send: (secret, { host, port }) => `${head(`CONNECT ${host}:${port}`, `${host}:${port}`)}SSH-2.0-${secret}\r\n\r\n`,
    row: { ...refused('unknown_protocol', null) },
  },
  {
    what: 'another host in the tunnel',
    inside: true,
    send: (secret, { host, port }) => head(`GET https://${secret}@${host}:${port}/${secret}`, `${host}:${port}`),
    row: { ...refused('invalid_authority') },
  },
  {
    what: 'a secret as a query key, in path parameters and twice encoded',
    inside: true,
    send: (secret, { host, port }) =>
      head(`GET /a;jsessionid=${secret}/%25${hex(secret)}/${percent(secret)}?${secret}&${secret}=1`, `${host}:${port}`),
    row: ALLOWED,
  },
  {
    what: 'a secret as the method',
    inside: true,
    send: (secret, { host, port }) => head(`${secret} /`, `${host}:${port}`),
    // The origin refuses it in a way that ends the connection.
    row: { decision: 'allow', deny_reason: null, status: 400 },
  },
  {
    what: 'a secret in parameters of the content type',
    inside: true,
    send: (secret, { host, port }) => head('GET /', `${host}:${port}`, [`Content-Type: text/plain; token=${secret}`]),
    row: ALLOWED,
  },
  {
    what: 'secrets in what the upstream answers',
    inside: true,
    send: (secret, { host, port }) => head('GET /echo', `${host}:${port}`, [`X-Echo: ${secret}`]),
    row: { ...ALLOWED, status: 302 },
  },
];

const hex = (text) => Buffer.from(text).toString('hex');
const percent = (text) => hex(text).replace(/../g, '%$&');
const head = (start, host, fields = []) =>
  [
    `${start} HTTP/1.1`,
    `Host: ${host}`,
    `Proxy-Authorization: ${basic(`lab:${PROXY_PASSWORD}`)}`,
    ...fields,
    '',
    '',
  ].join('\r\n');

for (const [number, entry] of CASES.entries()) {
  entry.secret = makeSecret();
  entry.host ??= `case-${number}.allowed.test`;
}
const wrongPassword = makeSecret();
const secrets = [PROXY_PASSWORD, wrongPassword, ...CASES.map(({ secret }) => secret)];
const search = makeSearch(secrets);

/** Sends the secret of its request back in every way an answer can name one. */
function echo(response, { headers }) {
  const secret = headers['x-echo'];
  response.writeHead(302, {
    location: `https://cdn.example/${secret}?sig=${secret}`,
    'set-cookie': `session=${secret}`,
    'content-type': `text/plain; token=${secret}`,
    'www-authenticate': `Bearer realm="${secret}"`,
  });
  response.end(secret);
}

let scene;
before(async () => {
  const configure = () => ({
    listeners: [{ name: 'default', address: '127.0.0.1:0' }],
    admin: '127.0.0.1:0',
    clients: [{ name: 'lab', username: 'lab', password: PROXY_PASSWORD }],
    audit: { seal_after_s: 3600 },
    log: { format: 'json', level: 'trace' },
  });
  const names = CASES.map(({ host }) => host.split('.')[0]);
  const rules = [{ name: 'everyone', hosts: ['*.allowed.test', '*.down.test'] }];
  const routes = ({ target }) => (target === '/echo' ? echo : (response) => response.end('ok'));
  const policy = { mode: 'enforce', default: 'deny', rules };
  scene = await setScene({ name: 'secrets', names, routes, configure, policy });
});
after(() => scene?.stop());

/** Writes bytes to the proxy, or into a tunnel through it; all that comes back until the connection ends or is quiet. */
async function exchange({ inside, host, send, secret }) {
  const { port } = scene.secure;
  const proxy = new URL(scene.gate.proxyUrl);
  const socket = net.connect(proxy.port, proxy.hostname);
  const wire = inside ? await intoTunnel(socket, host, port) : socket;
  wire.write(Buffer.from(send(secret, { host, port, deadPort: scene.deadPort }), 'latin1'));
  const answer = await firstAnswer(wire);
  socket.destroy();
  return answer;
}

async function intoTunnel(socket, host, port) {
  socket.write(head(`CONNECT ${host}:${port}`, `${host}:${port}`));
  const [opened] = await once(socket, 'data');
  assert.match(opened.toString(), /^HTTP\/1\.1 200 /);
  const secured = tls.connect({ socket, servername: host, ca: readFileSync(scene.trust) });
  await once(secured, 'secureConnect');
  return secured;
}

async function firstAnswer(wire) {
  const chunks = [];
  wire.on('data', (chunk) => chunks.push(chunk)).on('error', () => {});
  const ended = new Promise((resolve) => wire.once('close', resolve).once('end', resolve));
  await Promise.race([ended, until('an answer', () => chunks.length > 0 || undefined)]);
  return Buffer.concat(chunks);
}

describe('leaves its row, and no secret in it', () => {
  for (const entry of CASES) {
    test(entry.what, async () => {
      const answer = await exchange(entry);
      const [row] = await until('the row', async () => {
        const rows = await scene.gate.rows();
        const own = rows.filter((row) =>
          [row.host, row.host_raw, row.host_header].some((name) => name?.includes(entry.host)),
        );
        return own.length > 0 ? own : undefined;
      });
      assertRow(row, entry.row);
      const columns = Object.entries(row).filter(([, value]) => search(Buffer.from(`${value}`)).size > 0);
      assert.deepEqual(columns, []);
      // A refusal repeats nothing; what the upstream says is not ours.
      if (row.decision !== 'allow') assert.equal(search(answer).size, 0, answer.toString());
    });
  }

  test('a wrong proxy password', async () => {
    const proxy = new URL(scene.gate.proxyUrl);
    const socket = net.connect(proxy.port, proxy.hostname);
    const host = 'wrong.allowed.test';
    const line = `Proxy-Authorization: ${basic(`lab:${wrongPassword}`)}`;
    socket.write(`CONNECT ${host}:443 HTTP/1.1\r\nHost: ${host}\r\n${line}\r\n\r\n`);
    const answer = await firstAnswer(socket);
    socket.destroy();
    assert.match(answer.toString(), /^HTTP\/1\.1 407 /);
    assertRow(await scene.gate.row(host), refused('client_not_authenticated', 407));
  });
});

test('no secret is anywhere in the data directory, the log or the metrics', async () => {
  const { gate } = scene;
  const metrics = await (await fetch(`${await gate.adminUrl()}/metrics`)).text();
  const live = filesBelow(gate.dataDir);
  await scene.stop();
  scene = undefined;
  const log = gate.output();
  assert.match(log, /"level":"(TRACE|DEBUG)"/);
  const places = [
    ...live,
    ...filesBelow(gate.dataDir),
    { path: 'log', bytes: Buffer.from(log) },
    { path: 'metrics', bytes: Buffer.from(metrics) },
    { path: 'records', bytes: Buffer.from(JSON.stringify(await gate.rows())) },
  ];
  const found = places.flatMap(({ path, bytes }) =>
    [...search(bytes)].map((secret) => [path, CASES.find((entry) => entry.secret === secret)?.what ?? 'a password']),
  );
  assert.deepEqual(found, []);
});
