// A Go program behind HTTPS_PROXY, in its shape: net/http sends CONNECT with its own User-Agent, offers h2 inside the
// tunnel and speaks it. Node's http2 writes the frames, so their order is not Go's.

import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import tls from 'node:tls';

export default async function perform(call) {
  const target = new URL(call.url);
  const proxy = new URL(call.proxyUrl);
  const authority = `${target.hostname}:${target.port || 443}`;
  const connect = http.request({
    host: proxy.hostname,
    port: proxy.port,
    method: 'CONNECT',
    path: authority,
    headers: { Host: authority, 'User-Agent': 'Go-http-client/1.1' },
  });
  connect.end();
  const [response, tunnel] = await once(connect, 'connect');
  if (response.statusCode !== 200) throw new Error(`CONNECT was answered ${response.statusCode}`);
  const socket = tls.connect({ socket: tunnel, servername: target.hostname, ALPNProtocols: ['h2', 'http/1.1'] });
  await once(socket, 'secureConnect');
  const session = http2.connect(target.origin, { createConnection: () => socket });
  try {
    return { protocol: socket.alpnProtocol, ...(await send(session, target, call)) };
  } finally {
    session.close();
  }
}

async function send(session, target, { method, headers, data }) {
  const stream = session.request({
    ':method': method,
    ':authority': target.host,
    ':path': target.pathname + target.search,
    'accept-encoding': 'gzip',
    'user-agent': 'Go-http-client/2.0',
    ...headers,
  });
  stream.end(data);
  const [head] = await once(stream, 'response');
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return { status: head[':status'], body: JSON.parse(Buffer.concat(chunks).toString()) };
}
