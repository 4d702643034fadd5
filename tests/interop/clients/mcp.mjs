// The MCP SDK in a session: initialise, open the event stream, call a tool, end the session. Over undici's ProxyAgent, as
// the `.mcp` connector uses it, or over axios, as the MCP connectors of the spec framework do. Reports each notification
// as it arrives.

import { Readable } from 'node:stream';

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { LoggingMessageNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import axios from 'axios';
import { ProxyAgent, fetch } from 'undici';
import { customAgents } from './agents.mjs';

export default async function perform(call, report) {
  const http = call.overAxios ? await overAxios(call) : overUndici(call);
  const transport = new StreamableHTTPClientTransport(new URL(call.url), {
    fetch: http.fetch,
    requestInit: { headers: call.headers },
  });
  const client = new Client({ name: 'kibana-mcp-client', version: '1.0.0' });
  const second = new Promise((resolve) => {
    client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
      report('piece', { piece: params.data });
      if (params.data === call.lastNotification) resolve();
    });
  });
  await client.connect(transport);
  await second;
  const answer = await client.callTool({ name: call.tool, arguments: call.arguments });
  await transport.terminateSession();
  await client.close();
  await http.close();
  return { text: answer.content[0].text };
}

function overUndici({ proxyUrl }) {
  const dispatcher = new ProxyAgent({ uri: proxyUrl });
  return { fetch: (url, init) => fetch(url, { ...init, dispatcher }), close: () => dispatcher.close() };
}

/** fetch as `create_fetch_from_axios.ts` makes it: the response of axios, read as a stream. */
async function overAxios(call) {
  const instance = axios.create({ ...(await customAgents(call)), proxy: false, responseType: 'stream' });
  const perform = async (url, { method = 'GET', headers, body, signal } = {}) => {
    const response = await instance.request({
      url: String(url),
      method,
      headers: Object.fromEntries(new Headers(headers)),
      data: body,
      signal,
      validateStatus: () => true,
    });
    const empty = [202, 204].includes(response.status);
    return new Response(empty ? null : Readable.toWeb(response.data), {
      status: response.status,
      headers: response.headers.toJSON(),
    });
  };
  return { fetch: perform, close: () => {} };
}
