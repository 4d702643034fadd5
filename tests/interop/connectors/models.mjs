// Language models and MCP servers: what streams.

import { EventStreamCodec } from '@smithy/eventstream-codec';
import { fromUtf8, toUtf8 } from '@smithy/util-utf8';
import { classic, FRAGMENT, JSON_TYPE, spec } from './entry.mjs';

const SSE = 'text/event-stream';

const delta = (content) => `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`;

/** The OpenAI SDK, streaming: what the `.gen-ai` connector does for conversations. */
const chat = (secret, url, { baseUrl, headers, options }) => {
  const [first, second] = [`${secret('answer')} `, secret('answer')];
  return {
    client: 'openai',
    options: { url: baseUrl, retries: 0, text: `Summarise ${secret('body')}`, ...options },
    exchanges: [{ method: 'POST', url, headers }],
    type: SSE,
    pieces: [delta(first), `${delta(second)}data: [DONE]\n\n`],
    expect: { text: first + second },
  };
};

const openai = [
  classic('.gen-ai', 'OpenAI: chat, streaming', (secret) => {
    const apiKey = `sk-proj-${secret('header')}`;
    const organization = `org-${secret('header')}`;
    return chat(secret, 'https://api.openai.com/v1/chat/completions', {
      baseUrl: 'https://api.openai.com/v1',
      headers: { authorization: `Bearer ${apiKey}`, 'openai-organization': organization },
      options: { apiKey, organization },
    });
  }),
  classic('.gen-ai', 'OpenAI: run', (secret) => ({
    method: 'POST',
    url: 'https://api.openai.com/v1/chat/completions',
    headers: {
      Authorization: `Bearer sk-proj-${secret('header')}`,
      'content-type': 'application/json',
      'OpenAI-Project': secret('header'),
    },
    data: JSON.stringify({ model: 'gpt-4o', messages: [{ role: 'user', content: secret('body') }], stream: false }),
    path: '/v1/chat/completions',
  })),
  classic('.gen-ai', 'Azure OpenAI: chat, streaming', (secret) => {
    const apiKey = secret('header');
    const deployment = 'https://acme-soc.openai.azure.com/openai/deployments/gpt-4o';
    return chat(secret, `${deployment}/chat/completions?api-version=2025-01-01-preview`, {
      baseUrl: deployment,
      headers: { 'api-key': apiKey },
      options: { apiKey, query: { 'api-version': '2025-01-01-preview' }, headers: { 'api-key': apiKey } },
    });
  }),
  classic('.gen-ai', 'Azure OpenAI: run', (secret) => ({
    method: 'POST',
    url: 'https://acme-soc.openai.azure.com/openai/deployments/gpt-4o-mini/chat/completions?api-version=2024-02-15-preview',
    headers: { 'api-key': secret('header'), 'content-type': 'application/json' },
    data: JSON.stringify({ messages: [{ role: 'user', content: secret('body') }] }),
  })),
  classic(
    '.gen-ai',
    'another provider, self-hosted',
    (secret) => ({
      method: 'POST',
      url: 'https://llm.acme.example/v1/chat/completions',
      headers: { Authorization: `Bearer ${secret('header')}`, 'content-type': 'application/json' },
      data: JSON.stringify({ model: 'mistral', stream: true, messages: [{ role: 'user', content: secret('body') }] }),
      type: SSE,
      pieces: [delta(secret('answer')), `${delta(secret('answer'))}data: [DONE]\n\n`],
    }),
    { source: 'path' },
  ),
];

const MODEL = 'us.anthropic.claude-3-5-sonnet-20240620-v1:0';
const bedrockUrl = (region, action) =>
  `https://bedrock-runtime.${region}.amazonaws.com/model/${encodeURIComponent(MODEL)}/${action}`;

function awsEvent(type, document) {
  const headers = { ':message-type': 'event', ':event-type': type, ':content-type': 'application/json' };
  const typed = Object.entries(headers).map(([name, value]) => [name, { type: 'string', value }]);
  const codec = new EventStreamCodec(toUtf8, fromUtf8);
  return Buffer.from(codec.encode({ headers: Object.fromEntries(typed), body: fromUtf8(JSON.stringify(document)) }));
}
const textEvent = (text) => awsEvent('contentBlockDelta', { contentBlockIndex: 0, delta: { text } });

/** The AWS SDK, as `.bedrock` uses it. */
function converse(secret, region, action, answer) {
  const credentials = { accessKeyId: `AKIA${secret('header')}`, secretAccessKey: secret('header') };
  const origin = `https://bedrock-runtime.${region}.amazonaws.com`;
  return {
    client: 'bedrock',
    options: {
      url: origin,
      region,
      credentials,
      model: MODEL,
      text: `Grüße ${secret('body')}`,
      stream: answer.pieces !== undefined,
    },
    exchanges: [{ method: 'POST', url: bedrockUrl(region, action), path: `/model/{model}/${action}` }],
    aws: { signature: credentials.secretAccessKey },
    ...answer,
  };
}

const bedrock = [
  classic('.bedrock', 'converse', (secret) => {
    const text = secret('answer');
    const message = { role: 'assistant', content: [{ text }] };
    const body = JSON.stringify({ output: { message }, stopReason: 'end_turn', usage: {}, metrics: {} });
    return converse(secret, 'us-east-1', 'converse', { body, expect: { text } });
  }),
  classic('.bedrock', 'converse-stream, AWS event stream', (secret) => {
    const [first, second] = [secret('answer'), secret('answer')];
    return converse(secret, 'eu-central-1', 'converse-stream', {
      type: 'application/vnd.amazon.eventstream',
      pieces: [
        textEvent(first),
        Buffer.concat([textEvent(second), awsEvent('messageStop', { stopReason: 'end_turn' })]),
      ],
      expect: { text: first + second },
    });
  }),
  classic('.bedrock', 'invoke, signed by the connector', (secret) => ({
    ...signed(secret, {
      service: 'bedrock',
      region: 'us-west-2',
      method: 'POST',
      url: bedrockUrl('us-west-2', 'invoke'),
      headers: { ...JSON_TYPE, accept: '*/*' },
      data: JSON.stringify({ messages: [{ role: 'user', content: secret('body') }], max_tokens: 8192 }),
    }),
    path: '/model/{model}/invoke',
  })),
  classic('.bedrock', 'invoke-with-response-stream, signed by the connector', (secret) => ({
    ...signed(secret, {
      service: 'bedrock',
      region: 'ap-northeast-1',
      method: 'POST',
      url: bedrockUrl('ap-northeast-1', 'invoke-with-response-stream'),
      headers: { ...JSON_TYPE, accept: '*/*', 'x-amzn-bedrock-accept': '*/*' },
      data: JSON.stringify({ messages: [{ role: 'user', content: secret('body') }] }),
    }),
    type: 'application/vnd.amazon.eventstream',
    pieces: [awsEvent('chunk', { bytes: secret('answer') }), awsEvent('chunk', { bytes: secret('answer') })],
  })),
];

/** A call that axios makes with a signature of version 4. */
export function signed(secret, { service, region, ...call }) {
  const credentials = { accessKeyId: `AKIA${secret('header')}`, secretAccessKey: secret('header') };
  return { ...call, options: { service, region, credentials }, aws: { signature: credentials.secretAccessKey } };
}

const VERTEX =
  'https://us-central1-aiplatform.googleapis.com/v1/projects/acme-soc/locations/us-central1/publishers/google/models/gemini-2.5-pro';
const question = (text) =>
  JSON.stringify({
    contents: [{ role: 'user', parts: [{ text }] }],
    generation_config: { temperature: 0 },
  });
const candidate = (text) => `data: ${JSON.stringify({ candidates: [{ content: { parts: [{ text }] } }] })}\r\n\r\n`;
const gemini = [
  classic('.gemini', 'generateContent', (secret) => ({
    method: 'POST',
    url: `${VERTEX}:generateContent`,
    headers: { Authorization: `Bearer ${secret('header')}`, ...JSON_TYPE },
    data: question(secret('body')),
    path: '/v1/projects/{project}/locations/us-central1/publishers/google/models/gemini-2.5-pro:generateContent',
  })),
  classic('.gemini', 'streamGenerateContent, SSE', (secret) => ({
    method: 'POST',
    url: `${VERTEX}:streamGenerateContent?alt=sse`,
    headers: { Authorization: `Bearer ${secret('header')}`, ...JSON_TYPE },
    data: question(secret('body')),
    type: SSE,
    pieces: [candidate(secret('answer')), candidate(secret('answer'))],
  })),
  classic(
    '.gemini',
    'OAuth token for a signed JWT',
    (secret) => ({
      method: 'POST',
      url: 'https://oauth2.googleapis.com/token',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      data: `grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=${secret('body')}`,
      body: JSON.stringify({ access_token: secret('answer'), expires_in: 3599, token_type: 'Bearer' }),
      path: '/token',
    }),
    { source: 'shared', note: 'Kibana sends it only if HTTPS_PROXY is set; every Google connector fetches its token there' },
  ),
];

/**
 * A session of the MCP SDK over streamable HTTP: initialise, event stream by GET, a tool call answered by SSE, DELETE.
 * @param {Record<string, string>} headers of the connector's secrets
 */
function session(secret, url, headers, options) {
  const id = secret('header');
  const [first, second, answer] = [secret('answer'), secret('answer'), secret('answer')];
  const event = (message) => `event: message\ndata: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`;
  const notice = (data) => event({ method: 'notifications/message', params: { level: 'info', data } });
  const replies = {
    initialize: (message) => ({
      type: 'application/json',
      headers: { 'mcp-session-id': id },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: message.id,
        result: {
          protocolVersion: message.params.protocolVersion,
          capabilities: { logging: {}, tools: {} },
          serverInfo: { name: 'acme', version: '1' },
        },
      }),
    }),
    'notifications/initialized': () => ({ status: 202, body: '' }),
    'tools/call': (message) => ({
      type: SSE,
      body: event({ id: message.id, result: { content: [{ type: 'text', text: answer }] } }),
    }),
  };
  const reply = ({ method, body }) => {
    if (method === 'GET') return { type: SSE, pieces: [notice(first), notice(second)] };
    if (method === 'DELETE') return { status: 200, body: '' };
    const message = JSON.parse(body);
    return replies[message.method](message);
  };
  const of = (method, status = 200) => ({ method, url, status, headers });
  const argument = secret('body');
  return {
    client: 'mcp',
    options: {
      ...options,
      url,
      headers: { ...headers, ...options?.headers },
      tool: 'search',
      arguments: { query: argument },
      lastNotification: second,
    },
    reply,
    exchanges: [of('POST'), of('POST', 202), of('GET'), of('POST'), of('DELETE')],
    streams: true,
    expect: { text: answer },
  };
}

/** A session of the spec framework: the SDK's fetch is axios. */
const overAxios = (connector, url, headers) =>
  spec(connector, 'a session over axios', (secret) =>
    session(secret, url, headers(secret), { overAxios: true, headers: { 'User-Agent': FRAGMENT } }),
  );

const mcp = [
  classic(
    '.mcp',
    'a session: streamable HTTP, GET event stream, DELETE',
    (secret) => session(secret, 'https://mcp.acme.example/mcp', { Authorization: `Bearer ${secret('header')}` }),
    { source: 'path_header' },
  ),
  classic(
    '.mcp',
    'plain HTTP inside CONNECT',
    (secret) => session(secret, 'http://mcp.acme.example/mcp', { 'X-Api-Key': secret('header') }),
    { source: 'path_header' },
  ),
  overAxios('.tavily_mcp', 'https://mcp.tavily.com/mcp/', (secret) => ({
    authorization: `Bearer ${secret('header')}`,
  })),
  overAxios('.pagerduty_mcp', 'https://mcp.pagerduty.com/mcp', (secret) => ({
    authorization: `Token token=${secret('header')}`,
  })),
  overAxios('.dropbox', 'https://mcp.dropbox.com/mcp', (secret) => ({ authorization: `Bearer ${secret('header')}` })),
];

export default [...openai, ...bedrock, ...gemini, ...mcp];
