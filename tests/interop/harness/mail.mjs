// An SMTP origin: plain with STARTTLS, or TLS from the first byte. Keeps the messages and counts the bytes on the wire.

import { once } from 'node:events';
import { SMTPServer } from 'smtp-server';

/**
 * @param {object} options
 * @param {{cert: string, key: string}} options.tls
 * @param {boolean} options.implicit TLS before the banner, as on port 465
 * @returns {Promise<{port: number, messages: string[], wire: {received: number, sent: number}[], close: () => Promise<void>}>}
 *   `wire` has one entry per connection that ended, in bytes below TLS.
 */
export async function startMail({ tls, implicit }) {
  const messages = [];
  const wire = [];
  const smtp = new SMTPServer({
    ...tls,
    secure: implicit,
    authOptional: true,
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
  smtp.server.on('connection', (socket) => {
    socket.on('close', () => wire.push({ received: socket.bytesRead, sent: socket.bytesWritten }));
  });
  smtp.listen(0, '127.0.0.1');
  await once(smtp.server, 'listening');
  return {
    port: smtp.server.address().port,
    messages,
    wire,
    close: () => new Promise((resolve) => smtp.close(resolve)),
  };
}
