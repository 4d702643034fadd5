// One process that makes all calls of a test, as Kibana makes those of all its connectors. Quicker than one per call;
// tests that need another trust store or NODE_OPTIONS start theirs with `client.mjs`.

import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { clientEnvironment } from './client.mjs';
import { until } from './process.mjs';

const DEADLINE_MS = 30_000;

/**
 * @param {string} trust PEM file of the additional roots
 */
export function startKibana(trust) {
  const script = fileURLToPath(new URL('../clients/serve.mjs', import.meta.url));
  const child = fork(script, { env: clientEnvironment(trust), stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const calls = new Map();
  child.on('message', ({ id, ...event }) => calls.get(id).push(event));
  return {
    /** Starts a call; see `clients/call.mjs` for its events. */
    call(client, call) {
      const id = calls.size;
      const events = [];
      calls.set(id, events);
      child.send({ id, script: client, call });
      const event = (name, nth = 1) =>
        until(
          `${client} to report ${name} ${nth}`,
          () => {
            assert.equal(child.exitCode, null, `the client process ended while ${client} was called`);
            return events.filter((reported) => reported.event === name)[nth - 1];
          },
          DEADLINE_MS,
        );
      return { event, events: () => events, result: () => event('result') };
    },
    async stop() {
      if (child.exitCode !== null) return;
      child.disconnect();
      await once(child, 'exit');
    },
  };
}
