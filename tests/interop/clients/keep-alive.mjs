// Several requests over one connection to the proxy: absolute-form for http, or inside one CONNECT tunnel for https.
// Kibana's clients of today do not do this; those with `keep_alive` and every other caller of a forward proxy may.

import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import tls from 'node:tls';

export default async function perform(call) {
  const target = new URL(call.url);
  const open = target.protocol === 'https:' ? intercepted : plain;
  const socket = await open(new URL(call.proxyUrl), target);
  let connections = 0;
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  agent.createConnection = () => {
    connections += 1;
    return socket;
  };
  const answers = [];
  for (const headers of call.requests) answers.push(await send(agent, target, headers));
  socket.destroy();
  return { answers, connections };
}

async function plain(proxy) {
  const socket = net.connect(proxy.port, proxy.hostname);
  await once(socket, 'connect');
  return socket;
}

async function intercepted(proxy, target) {
  const port = target.port || 443;
  const request = http.request({
    host: proxy.hostname,
    port: proxy.port,
    method: 'CONNECT',
    path: `${target.hostname}:${port}`,
  });
  request.end();
  const [response, tunnel] = await once(request, 'connect');
  if (response.statusCode !== 200) throw new Error(`CONNECT was answered ${response.statusCode}`);
  const socket = tls.connect({ socket: tunnel, servername: target.hostname });
  await once(socket, 'secureConnect');
  return socket;
}

async function send(agent, target, headers) {
  const path = target.protocol === 'https:' ? target.pathname : target.href;
  const request = http.request({ agent, method: 'GET', path, headers: { Host: target.host, ...headers } });
  request.end();
  const [response] = await once(request, 'response');
  const chunks = [];
  for await (const chunk of response) chunks.push(chunk);
  return { status: response.statusCode, body: JSON.parse(Buffer.concat(chunks).toString()) };
}
