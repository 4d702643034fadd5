// Runs one client call as a child process: Kibana's only way of trusting a CA in every version is NODE_EXTRA_CA_CERTS,
// which Node reads once, at its start.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch, until } from './process.mjs';

const DEADLINE_MS = 60_000;

/**
 * Starts a client script and returns handles on its progress.
 * @param {string} script file name below `clients/`
 * @param {object} call what the script is to do; see the script
 * @param {object} [options]
 * @param {string} [options.trust] PEM file of the additional roots
 * @param {boolean} [options.direct] no proxy: every `*.test` name is 127.0.0.1
 * @param {string} [options.nodeOptions] NODE_OPTIONS of the script
 */
export function startClient(script, call, { trust, direct = false, nodeOptions = '' } = {}) {
  const env = clientEnvironment(trust, nodeOptions);
  const path = (name) => fileURLToPath(new URL(`../clients/${name}`, import.meta.url));
  const preload = direct ? ['--import', path('loopback-names.mjs')] : [];
  const run = launch(process.execPath, [...preload, path('once.mjs'), script, JSON.stringify(call)], {
    env,
    killAfterMs: DEADLINE_MS,
  });
  const events = () => run.lines.map((line) => JSON.parse(line));
  return {
    /** Waits for the n-th event of a name (from 1). */
    event: (name, nth = 1) =>
      until(
        `${script} to report ${name} ${nth}`,
        () => events().filter((event) => event.event === name)[nth - 1],
        DEADLINE_MS,
      ),
    events,
    /** What the script ended with: `{ok: true, ...}` or `{ok: false, error}`. */
    async result() {
      const { code, signal } = await run.exited;
      const last = events().at(-1);
      assert.ok(code === 0 && last?.event === 'result', `${script} ended with ${code ?? signal}:\n${run.errors()}`);
      return last;
    },
  };
}

/** The environment of a client process: additional roots, and none of the proxy settings of whoever runs the tests. */
export function clientEnvironment(trust, nodeOptions = '') {
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: trust ?? '', NODE_OPTIONS: nodeOptions };
  for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy'])
    delete env[name];
  return env;
}

/** Runs a client script to its end. */
export const runClient = (script, call, options) => startClient(script, call, options).result();

/** One PEM file out of several: NODE_EXTRA_CA_CERTS takes a single path. */
export function bundle(directory, name, files) {
  const path = join(directory, name);
  writeFileSync(path, files.map((file) => readFileSync(file, 'utf8')).join('\n'));
  return path;
}
