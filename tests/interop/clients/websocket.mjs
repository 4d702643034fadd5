// ws over the TLS agent: sends each message, waits for its echo, then closes with a code.

import { once } from 'node:events';
import WebSocket from 'ws';
import { customAgents } from './agents.mjs';

export default async function perform(call) {
  const { httpsAgent } = await customAgents(call);
  const socket = new WebSocket(call.url, { agent: httpsAgent, headers: call.headers, perMessageDeflate: false });
  const refusal = once(socket, 'unexpected-response').then(([, response]) => refused(response));
  const opened = once(socket, 'open').then(() => undefined);
  const refusedWith = await Promise.race([opened, refusal]);
  if (refusedWith) return refusedWith;
  const echoes = [];
  for (const message of call.messages) {
    socket.send(message);
    const [data] = await once(socket, 'message');
    echoes.push(data.toString());
  }
  socket.close(1000, 'done');
  const [code] = await once(socket, 'close');
  return { status: 101, echoes, code };
}

async function refused(response) {
  const chunks = [];
  for await (const chunk of response) chunks.push(chunk);
  return { status: response.statusCode, body: JSON.parse(Buffer.concat(chunks).toString()) };
}
