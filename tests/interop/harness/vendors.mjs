// Every service of the table on loopback, under its real name: HTTPS, HTTP, HTTPS that asks for a client certificate, and
// mail. Answers as the call in hand says; one call is made at a time.

import { once } from 'node:events';
import net from 'node:net';
import { startMail } from './mail.mjs';
import { startOrigin } from './origin.mjs';

/** Addresses of this process alone, so that well-known ports do not meet those of another run. */
const address = (last) => `127.${64 + (process.pid % 64)}.${(process.pid >> 6) % 256}.${last}`;
const SERVICES = address(1);
const ASKS_FOR_CERTIFICATE = address(2);

/**
 * @param {object} options
 * @param {ReturnType<typeof import('./authority.mjs').makeAuthority>} options.authority
 * @param {string[]} options.hosts names the certificate is for
 * @param {string[]} options.asking hosts that ask for a client certificate
 */
export async function startVendors({ authority, hosts, asking }) {
  const tls = authority.issue(hosts);
  let inHand;
  const routes = (received) => (response) => answer(inHand, response, received);
  const mutual = { ...tls, ca: authority.cert, requestCert: true, rejectUnauthorized: true };
  const [https443, http80, smtp587, smtps465] = [
    (await mayListen(443)) ? 443 : 0,
    (await mayListen(80)) ? 80 : 0,
    // Mail keeps to ports of mail, which is what the connector is told from: 2525 and 10025 need no privilege.
    (await mayListen(587)) ? 587 : 2525,
    (await mayListen(465)) ? 465 : 10025,
  ];
  const started = await Promise.allSettled([
    startOrigin({ tls, routes, listen: { host: SERVICES, port: https443 } }),
    startOrigin({ routes, listen: { host: SERVICES, port: http80 } }),
    startOrigin({ tls: mutual, routes, listen: { host: ASKS_FOR_CERTIFICATE, port: https443 } }),
    startMail({ tls, implicit: false, listen: { host: SERVICES, port: smtp587 } }),
    startMail({ tls, implicit: true, listen: { host: SERVICES, port: smtps465 } }),
  ]);
  const origins = started.filter(({ status }) => status === 'fulfilled').map(({ value }) => value);
  const close = () => Promise.all(origins.map((origin) => origin.close()));
  const failed = started.find(({ status }) => status === 'rejected');
  if (failed) {
    await close(); // Listening servers would keep the failed test running.
    throw failed.reason;
  }
  const [secure, plain, asks, ...mail] = origins;
  const https = (host) => (asking.includes(host) ? asks : secure);
  return {
    /** Names and their addresses, for `upstream.resolve`. */
    resolve: Object.fromEntries(hosts.map((host) => [host, asking.includes(host) ? ASKS_FOR_CERTIFICATE : SERVICES])),
    mailPorts: mail.map(({ port }) => port),
    mail: (implicit) => mail[implicit ? 1 : 0],
    /** The URL with the port its service has here: none where well-known ports could be taken. */
    at(url) {
      const target = new URL(url);
      const origin = target.protocol === 'https:' ? https(target.hostname) : plain;
      const standard = target.protocol === 'https:' ? 443 : 80;
      return origin.port === standard ? url : url.replace(target.host, `${target.host}:${origin.port}`);
    },
    /** From now on requests are those of this call. Returns what reaches the services, and the latch of its stream. */
    expect(call) {
      let release;
      const released = new Promise((resolve) => (release = resolve));
      inHand = { call, received: [], piecesSent: 0, released };
      return Object.assign(inHand, { release });
    },
    close,
  };
}

/** Whether this process has the privilege to listen on a port, which depends on the system and the user. */
async function mayListen(port) {
  const server = net.createServer();
  try {
    server.listen(port, address(3));
    await once(server, 'listening');
    return true;
  } catch (error) {
    if (error.code === 'EACCES') return false;
    throw error;
  } finally {
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  }
}

async function answer(inHand, response, received) {
  const {
    status = 200,
    type = 'application/json',
    headers,
    body,
    pieces,
  } = inHand.call.reply?.(received) ?? inHand.call;
  inHand.received.push(Object.assign(received, { status, sentBytes: 0 }));
  const write = (bytes) => {
    received.sentBytes += Buffer.byteLength(bytes);
    response.write(bytes);
  };
  if (!pieces) {
    const length = received.method === 'HEAD' || status === 204 ? {} : { 'content-length': Buffer.byteLength(body) };
    response.writeHead(status, { ...(body === '' ? {} : { 'content-type': type }), ...length, ...headers });
    if (body !== '') write(body);
    response.end();
    return;
  }
  response.writeHead(status, { 'content-type': type, ...headers });
  for (const [number, piece] of pieces.entries()) {
    if (number > 0) await inHand.released;
    inHand.piecesSent += 1;
    write(piece);
  }
  response.end();
}
