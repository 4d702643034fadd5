// The MCP SDK over undici's ProxyAgent, as the `.mcp` connector uses it: initialise, open the event stream, call a tool,
// end the session. Reports each notification as it arrives.

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { LoggingMessageNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { ProxyAgent, fetch } from 'undici';

export default async function perform(call, report) {
  const dispatcher = new ProxyAgent({ uri: call.proxyUrl });
  const transport = new StreamableHTTPClientTransport(new URL(call.url), {
    fetch: (url, init) => fetch(url, { ...init, dispatcher }),
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
  await dispatcher.close();
  return { text: answer.content[0].text };
}
