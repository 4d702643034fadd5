// Child processes with a deadline, and waiting for a condition with a deadline.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';

const POLL_EVERY_MS = 20;

/**
 * Asks `probe` until it returns something other than `undefined`.
 * @template T
 * @param {string} what completes the sentence "gave up waiting for ..."
 * @param {() => T | undefined | Promise<T | undefined>} probe
 * @param {number} [withinMs]
 * @returns {Promise<T>}
 */
export async function until(what, probe, withinMs = 15_000) {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`gave up waiting for ${what} after ${withinMs} ms`);
    await pause(POLL_EVERY_MS);
  }
}

/**
 * A running program whose standard output is kept by line and whose standard error is kept whole.
 * @param {string} program
 * @param {string[]} args
 * @param {object} [options]
 * @param {NodeJS.ProcessEnv} [options.env]
 * @param {number} [options.killAfterMs] SIGKILL then; absent: lives until told to stop
 * @param {string} [options.input] its whole standard input; absent: it has none
 */
export function launch(program, args, { env = process.env, killAfterMs, input } = {}) {
  const child = spawn(program, args, { env, stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'] });
  // A program that ends without reading all of it says why itself.
  child.stdin?.on('error', () => {}).end(input);
  const lines = [];
  let errors = '';
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  child.stderr.setEncoding('utf8').on('data', (text) => (errors += text));
  const timer = killAfterMs && setTimeout(() => child.kill('SIGKILL'), killAfterMs);
  const exited = once(child, 'close').then(([code, signal]) => {
    clearTimeout(timer);
    return { code, signal };
  });
  // An awaiting test sees the failure to start; without this line it would also end the whole run.
  exited.catch(() => {});
  return { child, lines, errors: () => errors, exited };
}
