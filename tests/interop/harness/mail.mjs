// An SMTP origin: plain with STARTTLS, or TLS from the first byte. Keeps the messages and counts the bytes on the wire.

import { once } from 'node:events';
import net from 'node:net';
import { SMTPServer } from 'smtp-server';

/**
 * @param {object} options
 * @param {{cert: string, key: string}} options.tls
 * @param {boolean} options.implicit TLS before the banner, as on port 465
 * @param {{host: string, port: number}} [options.listen]
 * @returns {Promise<{port: number, messages: string[], logins: string[][], wire: {received: number, sent: number}[], close: () => Promise<void>}>}
 *   `wire` has one entry per connection that ended, in bytes below TLS.
 */
export async function startMail({ tls, implicit, listen = { host: '127.0.0.1', port: 0 } }) {
  const messages = [];
  const logins = [];
  const smtp = new SMTPServer({
    ...tls,
    secure: implicit,
    authOptional: true,
    onAuth: ({ username, password }, _session, done) => {
      logins.push([username, password]);
      done(null, { user: username });
    },
    disableReverseLookup: true,
    onData(stream, _session, done) {
      const chunks = [];
      stream.on('data', (chunk) => chunks.push(chunk));
      stream.on('end', () => {
        messages.push(Buffer.concat(chunks).toString());
        done();
      });
    },
  });
  smtp.on('error', () => {}); // A client that leaves early is a case, not a failure of the origin.
  smtp.listen(0, '127.0.0.1');
  await once(smtp.server, 'listening');
  const counter = await countConnections(smtp.server.address().port, listen);
  const close = async () => {
    counter.server.close();
    await new Promise((resolve) => smtp.close(resolve));
  };
  return { port: counter.server.address().port, messages, logins, wire: counter.wire, close };
}

/** A relay in front of the server: the upgrade to TLS takes the server's own sockets out of reach. */
async function countConnections(port, listen) {
  const wire = [];
  // Half-open, or what the server says last would be counted and not sent on.
  const server = net.createServer({ allowHalfOpen: true }, async (client) => {
    const upstream = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const count = { received: 0, sent: 0 };
    client.on('data', (data) => (count.received += data.length)).on('error', () => upstream.destroy());
    upstream.on('data', (data) => (count.sent += data.length)).on('error', () => client.destroy());
    client.pipe(upstream).pipe(client);
    // A pipe stops reading when its other end closes first, and would then never see this end close.
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.end().resume());
    await Promise.all([client, upstream].map((socket) => new Promise((resolve) => socket.on('close', resolve))));
    wire.push(count);
  });
  server.listen(listen);
  await once(server, 'listening');
  return { server, wire };
}
