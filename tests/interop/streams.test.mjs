// Exchanges that are not one request and one bounded answer: WebSockets, and responses the client gives up on.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { runClient } from './harness/client.mjs';
import { until } from './harness/process.mjs';
import { assertRefusal, assertRow, setScene } from './harness/scene.mjs';
import { ALLOWED, DENIED, DOWN } from './harness/verdicts.mjs';

const PROJECT = '8f14e45fceea167a5a36dedd4bea2543';
const CONTENT_MAX = 1_000_000;

let scene;
let flood;
before(async () => {
  scene = await setScene({ name: 'streams', names: ['websocket', 'endless'], routes: { '/export': endless } });
});
after(() => scene?.stop());

/** Sends as fast as it is read, until the connection goes. */
function endless(response) {
  const chunk = Buffer.alloc(16_384, 'x');
  flood = { sent: 0, closed: false };
  response.writeHead(200, { 'content-type': 'application/octet-stream' });
  const fill = () => {
    let room = true;
    while (room && !flood.closed) {
      room = response.write(chunk);
      flood.sent += chunk.length;
    }
  };
  response.on('drain', fill).on('close', () => (flood.closed = true));
  fill();
}

describe('WebSocket inside an intercepted tunnel', () => {
  const messages = ['ping', 'x'.repeat(70_000)];
  const open = (host, port) =>
    runClient(
      'websocket.mjs',
      {
        url: `wss://${host}:${port}/socket`,
        headers: { 'User-Agent': `kibana-mcp-client elastic (project:${PROJECT})` },
        messages,
        proxyUrl: scene.gate.proxyUrl,
      },
      { trust: scene.trust },
    );
  const common = {
    kind: 'intercepted',
    method: 'GET',
    path: '/socket',
    project_id: PROJECT,
    deployment_id: null,
    id_assurance: 'claimed',
  };

  test('allowed: messages are echoed and the close is clean', async () => {
    const host = 'websocket.allowed.test';
    const result = await open(host, scene.secure.port);
    assert.deepEqual(result, { event: 'result', ok: true, status: 101, echoes: messages, code: 1000 });
    const row = await scene.gate.row(host);
    assertRow(row, { ...common, ...ALLOWED, host, status: 101 });
    const payload = messages.join('').length;
    assert.ok(
      row.request_bytes > payload && row.response_bytes > payload,
      `${row.request_bytes}, ${row.response_bytes}`,
    );
  });

  test('denied', async () => {
    const host = 'websocket.denied.test';
    const result = await open(host, scene.secure.port);
    const row = await scene.gate.row(host);
    assertRow(row, { ...common, ...DENIED, host });
    assert.equal(result.status, 403);
    assertRefusal(result.body, row);
  });

  test('upstream down', async () => {
    const host = 'websocket.down.test';
    const result = await open(host, scene.deadPort);
    assert.equal(result.status, 502);
    assertRow(await scene.gate.row(host), { ...common, ...DOWN, host });
  });
});

test('a client that gives up at its size limit ends the upstream response and is recorded with the bytes it got', async () => {
  const host = 'endless.allowed.test';
  const call = {
    url: `https://${host}:${scene.secure.port}/export`,
    maxContentLength: CONTENT_MAX,
    proxyUrl: scene.gate.proxyUrl,
  };
  const { error } = await runClient('axios.mjs', call, { trust: scene.trust });
  assert.match(error.message, /maxContentLength size of 1000000 exceeded/);
  await until('the upstream response to be closed', () => flood.closed || undefined);
  const row = await scene.gate.row(host);
  assertRow(row, { kind: 'intercepted', decision: 'allow', outcome: 'client_aborted', status: 200, host });
  assert.ok(
    row.response_bytes >= CONTENT_MAX && row.response_bytes <= flood.sent,
    `${row.response_bytes} of ${flood.sent}`,
  );
});
