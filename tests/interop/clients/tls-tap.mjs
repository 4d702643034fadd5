// Keeps what this process writes into TLS connections, before it is encrypted, and reads it as HTTP/1.1 requests.
// HTTP/2 is not seen: Node writes its frames past the socket.

import { syncBuiltinESMExports } from 'node:module';
import tls from 'node:tls';

/**
 * Taps every connection from now on.
 * @returns {() => {lines: string[], body: string}[]} takes the requests written since it was last called: request line
 *   and header lines as spelled, the body in Base64 without its chunked framing
 */
export function tapTls() {
  let streams = [];
  const { connect } = tls;
  tls.connect = (...args) => {
    const socket = connect(...args);
    const chunks = [];
    streams.push(chunks);
    const { write } = socket;
    socket.write = function (chunk, encoding, ...rest) {
      chunks.push(Buffer.from(chunk, typeof encoding === 'string' ? encoding : undefined));
      return write.call(this, chunk, encoding, ...rest);
    };
    return socket;
  };
  syncBuiltinESMExports();
  return () => {
    const taken = streams;
    streams = [];
    return taken.flatMap((chunks) => readRequests(Buffer.concat(chunks)));
  };
}

/** The requests of one connection. What is not HTTP, such as SMTP after STARTTLS, is none. */
function readRequests(bytes) {
  const requests = [];
  let rest = bytes;
  while (rest.length > 0) {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) break;
    const lines = rest.subarray(0, end).toString('latin1').split('\r\n');
    if (!lines[0].endsWith(' HTTP/1.1')) break;
    const { body, length } = readBody(lines, rest.subarray(end + 4));
    requests.push({ lines, body: body.toString('base64') });
    rest = rest.subarray(end + 4 + length);
  }
  return requests;
}

function readBody(lines, bytes) {
  const field = (name) =>
    lines
      .find((line) => line.toLowerCase().startsWith(`${name}:`))
      ?.slice(name.length + 1)
      .trim();
  if (field('transfer-encoding') === 'chunked') return unchunk(bytes);
  const length = Number(field('content-length') ?? 0);
  return { body: bytes.subarray(0, length), length };
}

/** RFC 9112, 7.1, as Node's clients write it: without extensions and trailers. */
function unchunk(bytes) {
  const parts = [];
  let at = 0;
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    const size = Number.parseInt(bytes.subarray(at, lineEnd).toString('latin1'), 16);
    const start = lineEnd + 2;
    at = start + size + 2;
    if (size === 0) return { body: Buffer.concat(parts), length: at };
    parts.push(bytes.subarray(start, start + size));
  }
}
