// The usual scene: one authority, an HTTPS and an HTTP origin with the same routes, and one gate between them and the
// clients. Every exchange of a test has a host name of its own, so that its row can be found by name:
//   NAME.allowed.test  allowed, served by the origins
//   NAME.denied.test   not in any rule and not resolvable: a refused name must not be looked up
//   NAME.down.test     allowed, and nothing listens on its port

import assert from 'node:assert/strict';
import { makeAuthority } from './authority.mjs';
import { startGate, workDirectory } from './gate.mjs';
import { closedPort, startOrigin } from './origin.mjs';

/**
 * @param {object} options
 * @param {string} options.name of the directory its files go to
 * @param {string[]} options.names first labels of the hosts used
 * @param {Parameters<typeof startOrigin>[0]['routes']} options.routes
 * @param {string[]} [options.args] more flags of the gate
 * @param {(tls: {certFile: string, keyFile: string}) => object} [options.configure] makes the configuration file, given a
 *   certificate for 127.0.0.1
 * @param {object} [options.policy] of the policy file; absent: flags allow what is said above
 * @param {number} [options.listeners] how many the configuration names
 */
export async function setScene({ name, names, routes, args = [], configure, policy, listeners }) {
  const directory = workDirectory(name);
  const authority = makeAuthority(directory, 'origin-ca');
  const tls = authority.issue(['*.allowed.test', '127.0.0.1']);
  const [secure, plain, deadPort] = await Promise.all([
    startOrigin({ tls, routes }),
    startOrigin({ routes }),
    closedPort(),
  ]);
  const closeOrigins = () => Promise.all([secure.close(), plain.close()]);
  const gate = await startGate({
    directory,
    upstreamCa: authority.certFile,
    hosts: names.flatMap((label) => [`${label}.allowed.test`, `${label}.down.test`]),
    config: configure?.(tls),
    policy,
    listeners,
    args: [...(policy ? [] : ['--allow-host', '*.allowed.test', '--allow-host', '*.down.test']), ...args],
  }).catch(async (error) => {
    await closeOrigins(); // Listening servers would keep the failed test running.
    throw error;
  });
  const stop = async () => {
    await gate.stop();
    await closeOrigins();
  };
  return { directory, authority, tls, secure, plain, deadPort, gate, trust: gate.caFile, stop };
}

/**
 * Asserts the named columns of a row exactly.
 * @param {Record<string, unknown>} row
 * @param {Record<string, unknown>} expected
 */
export function assertRow(row, expected) {
  const seen = Object.fromEntries(Object.keys(expected).map((column) => [column, row[column]]));
  assert.deepEqual(seen, expected, `row: ${JSON.stringify(row, null, 1)}`);
}

/** Asserts that a refusal made by the gate names the event, the host and what to do, and belongs to this row. */
export function assertRefusal(body, row) {
  assert.equal(body.event_id, row.event_id);
  assert.match(body.message, new RegExp(row.host.replaceAll('.', '\\.')));
}
