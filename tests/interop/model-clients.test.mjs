// The OpenAI SDK and the AWS Bedrock SDK: streams pass event by event, signatures survive, refusals are readable.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { EventStreamCodec } from '@smithy/eventstream-codec';
import { fromUtf8, toUtf8 } from '@smithy/util-utf8';
import { runClient, startClient } from './harness/client.mjs';
import { json } from './harness/origin.mjs';
import { assertRow, setScene } from './harness/scene.mjs';
import { signatures } from './harness/sigv4.mjs';
import { ALLOWED, DENIED, DOWN } from './harness/verdicts.mjs';

const CREDENTIALS = { accessKeyId: 'AKIDINTEROP', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYinterop' };
const MODEL = 'anthropic.claude-3-5-sonnet-20240620-v1:0';
const MODEL_PATH = `/model/${encodeURIComponent(MODEL)}`;
const PIECES = ['Guten ', 'Tag'];

/** Opens when the test says so: the origin sends the second piece only after the client has reported the first. */
function makeLatch() {
  let open;
  const opened = new Promise((resolve) => (open = resolve));
  return { open, opened };
}

const latches = { openai: makeLatch(), bedrock: makeLatch() };
let sent = 0;

async function streamChat(response) {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const send = (text) => write(response, Buffer.from(text));
  const event = (content) => `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`;
  send(event(PIECES[0]));
  await latches.openai.opened;
  send(event(PIECES[1]));
  send('data: [DONE]\n\n');
  response.end();
}

async function streamConverse(response) {
  const codec = new EventStreamCodec(toUtf8, fromUtf8);
  const event = (type, document) => {
    const headers = { ':message-type': 'event', ':event-type': type, ':content-type': 'application/json' };
    const typed = Object.entries(headers).map(([name, value]) => [name, { type: 'string', value }]);
    return codec.encode({ headers: Object.fromEntries(typed), body: fromUtf8(JSON.stringify(document)) });
  };
  const delta = (text) => event('contentBlockDelta', { contentBlockIndex: 0, delta: { text } });
  response.writeHead(200, { 'content-type': 'application/vnd.amazon.eventstream' });
  write(response, delta(PIECES[0]));
  await latches.bedrock.opened;
  write(response, delta(PIECES[1]));
  write(response, event('messageStop', { stopReason: 'end_turn' }));
  response.end();
}

function write(response, bytes) {
  sent += bytes.length;
  response.write(bytes);
}

let scene;
before(async () => {
  const message = {
    output: { message: { role: 'assistant', content: [{ text: PIECES.join('') }] } },
    stopReason: 'end_turn',
    usage: {},
    metrics: {},
  };
  const routes = {
    '/v1/chat/completions': streamChat,
    [`${MODEL_PATH}/converse`]: json(message),
    [`${MODEL_PATH}/converse-stream`]: streamConverse,
  };
  scene = await setScene({ name: 'model-clients', names: ['openai', 'bedrock', 'bedrock-stream'], routes });
});
after(() => scene?.stop());

/** Runs a streaming client and releases the second piece only once the first was seen. */
async function streamed(script, call, latch) {
  sent = 0;
  const client = startClient(script, { ...call, proxyUrl: scene.gate.proxyUrl }, { trust: scene.trust });
  const first = await client.event('piece');
  assert.equal(first.piece, PIECES[0]);
  assert.equal(client.events().length, 1, 'the second piece came before it was sent');
  latch.open();
  const result = await client.result();
  assert.equal(result.text, PIECES.join(''));
}

describe('OpenAI SDK, streaming', () => {
  const call = (host, port) => ({ url: `https://${host}:${port}/v1`, text: 'hello', retries: 1 });
  const run = (host, port) =>
    runClient('openai.mjs', { ...call(host, port), proxyUrl: scene.gate.proxyUrl }, { trust: scene.trust });

  test('allowed: the first event arrives before the second is sent', async () => {
    const host = 'openai.allowed.test';
    await streamed('openai.mjs', call(host, scene.secure.port), latches.openai);
    const row = await scene.gate.row(host);
    const [{ body }] = scene.secure.at(host);
    const bytes = { request_bytes: body.length, response_bytes: sent };
    assertRow(row, {
      ...ALLOWED,
      ...bytes,
      kind: 'intercepted',
      host,
      method: 'POST',
      status: 200,
      response_content_type: 'text/event-stream',
    });
    assert.match(row.user_agent, /^OpenAI\/JS 4\.104\.0/);
  });

  test('denied: the SDK shows the message and does not try again', async () => {
    const host = 'openai.denied.test';
    const { error } = await run(host, scene.secure.port);
    const row = await scene.gate.row(host);
    assertRow(row, { ...DENIED, kind: 'intercepted', host });
    assert.equal(error.status, 403);
    // The SDK shows `error.message` of the body and nothing else.
    assert.match(error.message, /^403 .*openai\.denied\.test/);
  });

  test('upstream down: each attempt leaves its row', async () => {
    const host = 'openai.down.test';
    const { error } = await run(host, scene.deadPort);
    assert.equal(error.status, 502);
    const found = await scene.gate.rows(['--host', host]);
    assert.equal(found.length, 2);
    for (const row of found) assertRow(row, { ...DOWN, kind: 'intercepted', host });
  });
});

describe('AWS Bedrock SDK', () => {
  const call = (host, port) => ({
    url: `https://${host}:${port}`,
    region: 'eu-central-1',
    credentials: CREDENTIALS,
    model: MODEL,
    text: 'Grüße',
  });
  const run = (host, port) =>
    runClient('bedrock.mjs', { ...call(host, port), proxyUrl: scene.gate.proxyUrl }, { trust: scene.trust });

  function assertSigned(host, path) {
    const [received, ...more] = scene.secure.at(host);
    assert.equal(more.length, 0);
    assert.equal(received.target, path);
    const { presented, computed, signedHeaders } = signatures(received, CREDENTIALS.secretAccessKey);
    assert.ok(signedHeaders.includes('host') && signedHeaders.includes('x-amz-date'), `signed: ${signedHeaders}`);
    assert.equal(computed, presented);
    return received;
  }

  test('converse allowed: the signature still verifies at the origin', async () => {
    const host = 'bedrock.allowed.test';
    const result = await run(host, scene.secure.port);
    assert.deepEqual([result.status, result.text], [200, PIECES.join('')]);
    const { body } = assertSigned(host, `${MODEL_PATH}/converse`);
    assertRow(await scene.gate.row(host), {
      ...ALLOWED,
      kind: 'intercepted',
      host,
      method: 'POST',
      status: 200,
      request_bytes: body.length,
    });
  });

  test('converse-stream allowed: events pass one by one', async () => {
    const host = 'bedrock-stream.allowed.test';
    await streamed('bedrock.mjs', { ...call(host, scene.secure.port), stream: true }, latches.bedrock);
    assertSigned(host, `${MODEL_PATH}/converse-stream`);
    const expected = { response_bytes: sent, response_content_type: 'application/vnd.amazon.eventstream' };
    assertRow(await scene.gate.row(host), { ...ALLOWED, ...expected, kind: 'intercepted', host, status: 200 });
  });

  test('denied: the SDK shows the message', async () => {
    const host = 'bedrock.denied.test';
    const { error } = await run(host, scene.secure.port);
    assert.equal(error.status, 403);
    assert.match(error.message, /bedrock\.denied\.test/);
    assertRow(await scene.gate.row(host), { ...DENIED, kind: 'intercepted', host });
  });

  test('upstream down', async () => {
    const host = 'bedrock.down.test';
    const { error } = await run(host, scene.deadPort);
    assert.equal(error.status, 502);
    assertRow(await scene.gate.row(host), { ...DOWN, kind: 'intercepted', host });
  });
});
