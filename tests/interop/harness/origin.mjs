// HTTP, HTTPS and WebSocket origins on loopback that keep exactly what reached them.
// Not done here: judging it. Tests read `requests` and assert.

import { createHash } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import { once } from 'node:events';
import { WebSocketServer } from 'ws';

/**
 * @typedef {object} Received one request as it arrived
 * @property {string} method
 * @property {string} target the request target, byte for byte
 * @property {Record<string, string>} headers joined and lower-cased by Node
 * @property {[string, string][]} headerLines name and value of every line, in order, as spelled
 * @property {Buffer} body
 * @property {string} sha256 of the body, hex
 */

/**
 * @typedef {(response: http.ServerResponse, received: Received) => unknown} Answer
 * @typedef {Record<string, Answer> | ((received: Received) => Answer | undefined)} Routes by path, or chosen by a function
 */

/**
 * Starts an origin.
 * @param {object} options
 * @param {{cert: string, key: string}} [options.tls] absent: plain HTTP
 * @param {Routes} options.routes
 * @param {{host: string, port: number}} [options.listen]
 * @returns {Promise<{port: number, requests: Received[], at: (host: string) => Received[], close: () => Promise<void>}>}
 */
export async function startOrigin({ tls, routes, listen = { host: '127.0.0.1', port: 0 } }) {
  const choose = typeof routes === 'function' ? routes : ({ target }) => routes[target.split('?')[0]];
  const requests = [];
  const answer = async (request, response) => {
    const received = await receive(request);
    requests.push(received);
    const route = choose(received);
    if (route === undefined) {
      response.writeHead(404).end();
      return;
    }
    await route(response, received);
  };
  const server = tls ? https.createServer(tls, answer) : http.createServer(answer);
  echoWebSockets(server, requests);
  server.listen(listen);
  await once(server, 'listening');
  return {
    port: server.address().port,
    requests,
    at: (host) => requests.filter((received) => received.headers.host.split(':')[0] === host),
    close: () => closeAll(server),
  };
}

async function receive(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  return { ...head(request), body, sha256: createHash('sha256').update(body).digest('hex') };
}

function head(request) {
  const headerLines = [];
  for (let at = 0; at < request.rawHeaders.length; at += 2) {
    headerLines.push([request.rawHeaders[at], request.rawHeaders[at + 1]]);
  }
  return { method: request.method, target: request.url, headers: request.headers, headerLines };
}

/** Every upgrade becomes a WebSocket that returns each message as it came. */
function echoWebSockets(server, requests) {
  const sockets = new WebSocketServer({ noServer: true });
  server.on('upgrade', (request, socket, first) => {
    requests.push(head(request));
    sockets.handleUpgrade(request, socket, first, (peer) => {
      peer.on('message', (data, binary) => peer.send(data, { binary }));
    });
  });
}

async function closeAll(server) {
  server.close();
  server.closeAllConnections();
  await once(server, 'close');
}

/** Answers with a JSON document and its exact length. */
export function json(document, status = 200) {
  const body = Buffer.from(JSON.stringify(document));
  return (response) => {
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length });
    response.end(body);
  };
}

/** A port on loopback on which nothing listens: taken from the system and given back. */
export async function closedPort() {
  const server = http.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  await closeAll(server);
  return port;
}
