// One entry of the table made ready: its secrets, its call, the requests and the rows that must come of it; and the columns
// of the table, each an assertion. Not done here: making the calls.

import assert from 'node:assert/strict';
import { DEPLOYMENT, FRAGMENT } from '../connectors/entry.mjs';
import { makeSecret } from './canary.mjs';
import { assertRow } from './scene.mjs';
import { signatures } from './sigv4.mjs';

/** Fields that concern one connection; each side of the gate has its own. */
const HOP_BY_HOP = /^(connection|keep-alive):/i;

/**
 * Makes the secrets of an entry and fills in what its call leaves out.
 * @param {import('../connectors/entry.mjs').Entry} entry
 */
export function prepare(entry) {
  const secrets = [];
  const secret = () => {
    secrets.push(makeSecret());
    return secrets.at(-1);
  };
  const made = entry.make(secret);
  const { client = 'axios', method, url, path, status, data } = made;
  const headers = entry.fragment ? { 'User-Agent': FRAGMENT, ...made.headers } : made.headers;
  const sent = data === undefined || typeof data === 'string' ? data : JSON.stringify(data);
  const body = made.body ?? (made.pieces || made.reply ? undefined : JSON.stringify({ id: secret() }));
  const stream = made.pieces !== undefined;
  const exchanges = made.exchanges ?? (made.mail ? [] : [{ method, url, headers: made.headers, body: sent, path }]);
  const agent = made.headers?.['User-Agent'] === undefined && entry.fragment ? { 'User-Agent': FRAGMENT } : {};
  return {
    ...entry,
    ...made,
    client,
    body,
    secrets,
    /** Columns of the table that the run has shown. */
    shown: new Set(),
    streams: stream || made.streams === true,
    options: client === 'axios' ? { method, url, headers, data, stream, ...made.options } : made.options,
    exchanges: exchanges.map((exchange) => ({
      status,
      ...exchange,
      headers: { ...agent, ...exchange.headers },
    })),
  };
}

/** The host of an entry, and of every other request it makes. */
export const hostsOf = ({ mail, exchanges }) =>
  mail ? [mail.host] : exchanges.map(({ url }) => new URL(url).hostname);

/**
 * Column "delivered": the origin received the bytes the client wrote, which are those the connector sends, and the client
 * received what the origin answered.
 */
export function assertDelivered(entry, received, result) {
  assert.equal(result.ok, true, JSON.stringify(result.error));
  assert.deepEqual(
    received.map(({ method, target, headers: { host } }) => [method, target, host]),
    entry.exchanges.map(({ method, url }) => [method, targetOf(url), new URL(url).host]),
  );
  entry.exchanges.forEach((exchange, at) => assertAsked(exchange, received[at]));
  if (entry.aws) {
    const { presented, computed } = signatures(received[0], entry.aws.signature);
    assert.equal(computed, presented, 'the signature recomputed at the origin');
  }
  // What goes out in HTTP/2 frames or without TLS is not tapped; there the values above must do.
  if (entry.client !== 'go-http2' && entry.exchanges[0].url.startsWith('https:')) {
    const bytes = (requests) => requests.map((request) => JSON.stringify(request)).sort();
    assert.deepEqual(bytes(received.map(asReceived)), bytes(result.requests.map(asWritten)));
  }
  assertAnswered(entry, received, result);
}

function assertAsked({ headers, body }, received) {
  for (const [name, value] of Object.entries(headers)) assert.equal(received.headers[name.toLowerCase()], value, name);
  if (body !== undefined) assert.equal(received.body.toString(), body);
}

function asWritten({ lines, body }) {
  return { lines: lines.filter((line) => !HOP_BY_HOP.test(line)), body };
}

function asReceived({ method, target, headerLines, body }) {
  const lines = headerLines.map(([name, value]) => `${name}: ${value}`).filter((line) => !HOP_BY_HOP.test(line));
  return { lines: [`${method} ${target} HTTP/1.1`, ...lines], body: body.toString('base64') };
}

function assertAnswered({ client, expect, pieces, body }, [{ method, status }], result) {
  for (const [name, value] of Object.entries(expect ?? {})) assert.deepEqual(result[name], value, name);
  if (client !== 'axios' && client !== 'go-http2') return;
  assert.equal(result.status, status);
  const whole = pieces ? Buffer.concat(pieces.map((piece) => Buffer.from(piece))).toString() : body;
  assert.deepEqual(result.body, pieces || method === 'HEAD' ? whole : asParsed(whole));
}

/** Both clients read JSON wherever a body is JSON. */
function asParsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Origin-form of a URL (RFC 9112, 3.2.1). */
const targetOf = (url) => new URL(url).pathname + new URL(url).search;

/** A URL as it goes over the wire, absolute. */
export const sentUrl = (url) => new URL(url).origin + targetOf(url);

/** Column "named". */
export function assertNamed({ connector, source }, row) {
  assertRow(row, { connector_type: connector, connector_source: source });
}

/** Column "row complete", for a request the gate saw. `received` is the same request as the origin saw it. */
export function assertComplete(entry, exchange, received, row, upstream) {
  const { protocol, hostname, port } = new URL(exchange.url);
  const agent = exchange.headers['User-Agent'] ?? received.headers['user-agent'];
  assertRow(row, {
    ...common(hostname, upstream),
    kind: protocol === 'https:' ? 'intercepted' : 'http',
    scheme: protocol.slice(0, -1),
    sni: protocol === 'https:' ? hostname : null,
    port: Number(port || (protocol === 'https:' ? 443 : 80)),
    method: exchange.method,
    status: received.status,
    user_agent: agent,
    id_assurance: agent === FRAGMENT ? 'verified' : 'bound',
    request_content_type: storedType(received.headers['content-type']),
    request_bytes: received.body.length,
    response_bytes: received.sentBytes,
    http_version: 'HTTP/1.1',
    ...entry.row,
  });
  const timed = ['duration_us', 'audit_wait_us', 'first_byte_us'];
  for (const column of [...timed, 'event_id', 'policy_hash', 'client_ip', 'host_header']) {
    assert.notEqual(row[column] ?? null, null, column);
  }
  assertPath(exchange, row);
}

/** A media type as it is stored: of parameters only what is known to be harmless. */
const storedType = (type) => type?.replace(/(boundary=).*/, '$1{redacted}') ?? null;

/** Column "row complete", for a tunnel: what was said in it is not known. */
export function assertTunnel(host, port, row, upstream) {
  assertRow(row, {
    ...common(host, upstream),
    kind: 'tunnel',
    port,
    method: 'CONNECT',
    connect_host: `${host}:${port}`,
    path: null,
    query: null,
    user_agent: null,
    url_fingerprint: null,
  });
  assert.ok(row.request_bytes > 0 && row.response_bytes > 0, `${row.request_bytes}, ${row.response_bytes}`);
}

const common = (host, upstream) => ({
  host,
  upstream_ip: upstream,
  deployment_id: DEPLOYMENT,
  project_id: null,
  client_identity: 'kibana',
  decision: 'allow',
  policy_rule: 'connectors',
  deny_reason: null,
  outcome: 'completed',
  error: null,
});

/** The path as the entry says, else each segment as it was sent or with a placeholder in it. */
function assertPath({ url, path }, row) {
  if (path instanceof RegExp) assert.match(row.path, path);
  else if (path !== undefined) assert.equal(row.path, path);
  const sent = new URL(url).pathname.split('/');
  const stored = row.path.split('/');
  assert.equal(stored.length, sent.length, row.path);
  stored.forEach((segment, at) => assert.ok(segment === sent[at] || segment.includes('{'), row.path));
}
