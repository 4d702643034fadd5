// Starts the Tollgate binary, reads what it announces, finds its rows through `tollgate records`, and stops it.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch, until } from './process.mjs';

const PROJECT = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const BUILDS = ['target/release/tollgate', 'target/debug/tollgate'];
const LISTENING = /^tollgate: listening on (https?:\/\/\S+)$/;
const ADMIN = /^tollgate: admin on (http:\/\/\S+)$/;

/** The binary under test: `TOLLGATE_BIN`, else the release build, else the debug build. */
export function binary() {
  const found = process.env.TOLLGATE_BIN ?? BUILDS.map((path) => join(PROJECT, path)).find(existsSync);
  assert.ok(found, 'no tollgate binary: run `cargo build --release`, or set TOLLGATE_BIN to one');
  return found;
}

/** A fresh directory below `TOLLGATE_INTEROP_DIR` (default `target/interop`); what is left there is read by tests/readers. */
export function workDirectory(name) {
  const directory = join(process.env.TOLLGATE_INTEROP_DIR ?? join(PROJECT, 'target/interop'), name);
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  return directory;
}

/**
 * Starts a gate and waits until every listener is announced.
 * @param {object} options
 * @param {string} options.directory from `workDirectory`
 * @param {string} options.upstreamCa PEM file of the origins' CA
 * @param {string[]} options.hosts names that resolve to 127.0.0.1
 * @param {object} [options.config] written as the configuration file; JSON is YAML
 * @param {object} [options.policy] written beside it as the policy file
 * @param {string[]} [options.args] more flags
 * @param {number} [options.listeners] how many lines to wait for
 */
export async function startGate({ directory, upstreamCa, hosts, config, policy, args = [], listeners = 1 }) {
  const dataDir = join(directory, 'data');
  const caFile = join(directory, 'interception-ca.pem');
  const flags = [
    ...(config ? ['--config', write(join(directory, 'tollgate.yml'), config)] : ['--listen', '127.0.0.1:0']),
    ...(policy ? ['--policy', write(join(directory, 'policy.yml'), policy)] : []),
    ...['--data-dir', dataDir, '--ca-cert', caFile, '--ca-key', join(directory, 'interception-ca.key')],
    ...['--upstream-ca', upstreamCa, '--allow-address', '127.0.0.0/8'],
    ...hosts.flatMap((host) => ['--resolve', `${host}=127.0.0.1`]),
    ...args,
  ];
  const run = launch(binary(), ['run', ...flags]);
  const addresses = await until('the gate to listen', () => announced(run, listeners));
  return {
    proxyUrls: addresses,
    proxyUrl: addresses[0],
    adminUrl: () => until('the admin address', () => run.lines.map((line) => ADMIN.exec(line)?.[1]).find(Boolean)),
    output: () => `${run.lines.join('\n')}\n${run.errors()}`,
    caFile,
    dataDir,
    rows: (filters) => rows(dataDir, filters),
    row: (host, matches) => row(dataDir, run, host, matches),
    stop: () => stop(run),
  };
}

function write(path, document) {
  writeFileSync(path, JSON.stringify(document, null, 2));
  return path;
}

function announced(run, listeners) {
  if (run.child.exitCode !== null) throw new Error(`the gate ended at once:\n${run.errors()}`);
  const found = run.lines.map((line) => LISTENING.exec(line)?.[1]).filter((address) => address !== undefined);
  return found.length >= listeners ? found : undefined;
}

/**
 * Rows of a data directory, newest first, as `tollgate records --json` prints them.
 * @param {string} dataDir
 * @param {string[]} [filters] flags of `tollgate records`
 */
export async function rows(dataDir, filters = []) {
  const lines = await records(dataDir, ['--json', '--limit', '10000', ...filters]);
  return lines.map((line) => JSON.parse(line));
}

/**
 * The lines `tollgate records` prints.
 * @param {string} dataDir
 * @param {string[]} flags
 * @param {string} [input] its standard input
 */
export async function records(dataDir, flags, input) {
  const search = launch(binary(), ['records', '--data-dir', dataDir, ...flags], { killAfterMs: 30_000, input });
  const { code } = await search.exited;
  assert.equal(code, 0, `tollgate records failed:\n${search.errors()}`);
  return search.lines;
}

/**
 * Which rows are calls of which URLs, as `tollgate records --url-stdin` finds them by their fingerprints: event id to URL.
 * @param {string} dataDir
 * @param {string[]} urls none of them twice
 */
export async function lookUp(dataDir, urls) {
  const lines = await records(dataDir, ['--url-stdin', '--json', '--limit', '10000'], urls.join('\n'));
  const found = lines.map((line) => JSON.parse(line));
  return new Map(found.map((row) => [row.event_id, urls[row.url - 1]]));
}

/** The one row of a host (that satisfies `matches`). Fails when there are two, or none in time. */
async function row(dataDir, run, host, matches = () => true) {
  const find = async () => {
    const found = (await rows(dataDir, ['--host', host])).filter(matches);
    assert.ok(
      found.length < 2,
      `${found.length} rows for one exchange with ${host}: ${JSON.stringify(found, null, 1)}`,
    );
    return found[0];
  };
  try {
    return await until(`the row of ${host}`, find);
  } catch (error) {
    error.message += `\nits rows:\n${JSON.stringify(await rows(dataDir, ['--host', host]), null, 1)}\nlog of the gate:\n${run.errors()}`;
    throw error;
  }
}

/** SIGTERM must drain, seal and exit 0. */
async function stop(run) {
  run.child.kill('SIGTERM');
  const { code, signal } = await run.exited;
  assert.deepEqual({ code, signal }, { code: 0, signal: null }, `the gate did not stop cleanly:\n${run.errors()}`);
}

/** Every file below a directory, for searching the raw bytes on disk. */
export function filesBelow(directory) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .map((path) => ({ path, bytes: readFileSync(path) }));
}
