// One row for every connector type: real clients make the calls of `connectors.table.mjs` through a gate, to services under
// their real names. Then every place is searched for every secret, and docs/connectors-tested.md is what came of it:
//   UPDATE_DOCS=1 node --test connectors.test.mjs     writes it

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ENTRIES, OWN_CONNECTORS, SILENT } from './connectors.table.mjs';
import { makeAuthority } from './harness/authority.mjs';
import { formsOf, makeSearch, makeSecret } from './harness/canary.mjs';
import { bundle } from './harness/client.mjs';
import { filesBelow, lookUp, records, startGate, workDirectory } from './harness/gate.mjs';
import { startKibana } from './harness/kibana.mjs';
import { until } from './harness/process.mjs';
import { document } from './harness/table-document.mjs';
import { DEPLOYMENT } from './connectors/entry.mjs';
import {
  assertComplete,
  assertDelivered,
  assertNamed,
  assertTunnel,
  hostsOf,
  prepare,
  sentUrl,
} from './harness/table.mjs';
import { startVendors } from './harness/vendors.mjs';

const DOCUMENT = new URL('../../docs/connectors-tested.md', import.meta.url);
const MUTUAL_TLS = 'mtls.acme.example';
const CONTROL = 'hooks.acme.example';
/** How often, in calls, the data directory is searched while the gate writes to it. */
const SNAPSHOT_EVERY = 25;

const entries = ENTRIES.map(prepare);
// Stored on purpose, as a User-Agent is: shows that each search could have found a secret.
const planted = makeSecret();
const search = makeSearch([planted, ...entries.flatMap(({ secrets }) => secrets)]);
/** Where secrets were found: secret to names of places. */
const leaks = new Map();

let directory;
let authority;
let vendors;
let gate;
let kibana;
before(async () => {
  directory = workDirectory('connectors');
  authority = makeAuthority(directory, 'origin-ca');
  const hosts = [...new Set([CONTROL, ...entries.flatMap(hostsOf)])];
  vendors = await startVendors({ authority, hosts, asking: [MUTUAL_TLS] });
  gate = await startGate(gateOptions(hosts));
  kibana = startKibana(bundle(directory, 'trust.pem', [gate.caFile, authority.certFile]));
  for (const entry of entries) place(entry);
});
after(async () => {
  await kibana?.stop();
  await gate?.stop();
  await vendors?.close();
});

function gateOptions(hosts) {
  const connectorsFile = join(directory, 'connectors.yml');
  writeFileSync(connectorsFile, JSON.stringify(OWN_CONNECTORS));
  const config = {
    listeners: [{ name: 'default', address: '127.0.0.1:0' }],
    admin: '127.0.0.1:0',
    clients: [{ name: 'kibana', sources: ['127.0.0.0/8'], deployments: [DEPLOYMENT] }],
    upstream: { resolve: vendors.resolve },
    tunnel_hosts: [MUTUAL_TLS],
    tunnel_ports: vendors.mailPorts,
    connectors_file: connectorsFile,
    // Nothing is sealed before the end: until then the rows are in the journal, and are searched there.
    audit: { seal_after_s: 3600 },
    log: { format: 'json', level: 'trace' },
  };
  const policy = { mode: 'enforce', default: 'deny', rules: [{ name: 'connectors', hosts }] };
  return { directory, upstreamCa: authority.certFile, hosts: [], config, policy };
}

/** Gives the URLs of an entry the ports its services have here, and a client certificate to the call that shows one. */
function place(entry) {
  const { options, mail } = entry;
  if (mail) Object.assign(options, { port: vendors.mail(mail.implicit).port });
  if (options.url) options.url = vendors.at(options.url);
  for (const exchange of entry.exchanges) exchange.url = vendors.at(exchange.url);
  if (options.certificate) options.tls = authority.issueClient('kibana');
}

/** Searches named bytes; what is found is kept by secret. */
function inspect(places) {
  for (const { path, bytes } of places) {
    for (const secret of search(bytes)) leaks.set(secret, [...(leaks.get(secret) ?? []), path]);
  }
}

describe('delivered, and streamed where the service streams', () => {
  entries.forEach((entry, at) => {
    test(`${entry.connector}: ${entry.what}`, async () => {
      const seen = vendors.expect(entry);
      const call = kibana.call(`${entry.client}.mjs`, { ...entry.options, proxyUrl: gate.proxyUrl });
      if (entry.streams) {
        await call.event('piece');
        assert.equal(seen.piecesSent, 1, 'the client has the first piece before the second is sent');
        entry.shown.add('streamed');
        seen.release();
      }
      const result = await call.result();
      entry.received = seen.received;
      if (entry.mail) assertMailed(entry, result);
      else assertDelivered(entry, seen.received, result);
      entry.shown.add('delivered');
      if (at % SNAPSHOT_EVERY === 0) inspect(filesBelow(gate.dataDir));
    });
  });

  function assertMailed({ mail, options }, result) {
    assert.deepEqual(result.accepted, ['oncall@example.com'], JSON.stringify(result));
    const { logins, messages } = vendors.mail(mail.implicit);
    assert.deepEqual(logins, [[options.auth.user, options.auth.pass]]);
    assert.equal(messages.length, 1);
    assert.ok(
      messages[0].includes(`Subject: ${options.subject}\r\n`) && messages[0].includes(options.text),
      messages[0],
    );
  }

  test('a control: the User-Agent is stored', async () => {
    const url = vendors.at(`https://${CONTROL}/control`);
    vendors.expect({ body: '' });
    const call = { url, headers: { 'User-Agent': planted }, proxyUrl: gate.proxyUrl };
    const result = await kibana.call('axios.mjs', call).result();
    assert.equal(result.status, 200, JSON.stringify(result));
  });
});

/** The URLs of all calls, and which rows the look-up says are of them. */
let urls;
let called;

describe('named, and the row complete', () => {
  let taken;
  before(async () => {
    const rows = await allRows();
    urls = [...new Set(entries.flatMap(({ exchanges }) => exchanges.map(({ url }) => sentUrl(url))))];
    called = await lookUp(gate.dataDir, urls);
    const byCall = groupBy(rows, callOf(called));
    taken = (call) => {
      const row = byCall.get(call)?.shift();
      assert.ok(row, `no row for ${call}`);
      return row;
    };
  });

  for (const entry of entries) {
    test(`${entry.connector}: ${entry.what}`, () => {
      const upstream = (host) => vendors.resolve[host];
      const [host] = hostsOf(entry);
      entry.rows = [];
      if (entry.mail || entry.tunnel) {
        const port = entry.mail
          ? vendors.mail(entry.mail.implicit).port
          : Number(new URL(entry.options.url).port || 443);
        const row = taken(`tunnel ${host}`);
        entry.rows.push(row);
        assertTunnel(host, port, row, upstream(host));
        entry.shown.add('complete');
        assertNamed(entry, row);
        entry.shown.add('named');
        return;
      }
      // All first, so that a failure does not leave rows to the next entry of the same URL.
      entry.rows = entry.exchanges.map(({ method, url }) => taken(`${method} ${sentUrl(url)}`));
      entry.exchanges.forEach((exchange, at) => {
        const { hostname } = new URL(exchange.url);
        assertComplete(entry, exchange, entry.received[at], entry.rows[at], upstream(hostname));
      });
      entry.shown.add('complete');
      for (const row of entry.rows) assertNamed(entry, row);
      entry.shown.add('named');
    });
  }
});

/** What a row is found by: the URL that its fingerprint is looked up with. */
const callOf =
  (called) =>
  ({ kind, host, method, event_id: id }) =>
    kind === 'tunnel' ? `tunnel ${host}` : `${method} ${called.get(id)}`;

function groupBy(rows, key) {
  const groups = new Map();
  for (const row of rows) groups.set(key(row), [...(groups.get(key(row)) ?? []), row]);
  return groups;
}

/** The rows, oldest first, once there is one for every request and tunnel, and that of the control. */
async function allRows() {
  const expected = entries.reduce(
    (sum, { mail, tunnel, exchanges }) => sum + (mail || tunnel ? 1 : exchanges.length),
    1,
  );
  let rows = [];
  await until(
    `${expected} rows`,
    async () => {
      rows = await gate.rows();
      return rows.length >= expected || undefined;
    },
    20_000,
  ).catch((error) => {
    error.message += `; there are ${rows.length}`;
    throw error;
  });
  assert.equal(rows.length, expected);
  return rows.toReversed();
}

describe('secrets', () => {
  /** Searches all that a running and a stopped gate leaves. */
  before(async () => {
    const admin = await gate.adminUrl();
    for (const path of ['/metrics', '/healthz', '/readyz']) {
      const body = await (await fetch(admin + path)).text();
      assert.ok(body.length > 0, path);
      inspect([{ path, bytes: Buffer.from(body) }]);
    }
    inspect(filesBelow(gate.dataDir));
    await inspectRecords('records of the journal');
    const { stop, output } = gate;
    gate.stop = async () => {};
    await stop();
    inspect(filesBelow(gate.dataDir));
    await inspectRecords('records of the sealed files');
    inspect([{ path: 'log', bytes: Buffer.from(output()) }]);
    assert.match(output(), /"level":"(TRACE|DEBUG)"/);
    // For tests/readers, which decompress the sealed files with engines that are not ours.
    writeFileSync(
      join(directory, 'secrets.json'),
      JSON.stringify({ planted, secrets: entries.flatMap((e) => e.secrets) }),
    );
  });

  async function inspectRecords(path) {
    for (const flags of [['--json'], []]) {
      const lines = await records(gate.dataDir, ['--limit', '10000', ...flags]);
      assert.ok(lines.length > entries.length, path);
      inspect([{ path: `${path} ${flags}`, bytes: Buffer.from(lines.join('\n')) }]);
    }
  }

  for (const entry of entries) {
    test(`${entry.connector}: ${entry.what}: absent from every place`, () => {
      const found = entry.secrets.flatMap((secret) => leaks.get(secret) ?? []);
      assert.deepEqual(found, []);
      entry.shown.add('absent');
    });
  }

  test('a look-up finds the same calls in the sealed files', async () => {
    assert.deepEqual(await lookUp(gate.dataDir, urls), called);
  });

  test('the search finds the secret that is stored on purpose, in the journal and in what is read from sealed files', () => {
    const places = leaks.get(planted) ?? [];
    assert.ok(
      places.some((path) => path.includes('/journal/')),
      `found in ${places}`,
    );
    assert.ok(places.includes('records of the sealed files --json'), `found in ${places}`);
  });

  test('the search finds every form of a secret, wherever it begins', () => {
    const hidden = 'ü/+ :secret@%';
    const find = makeSearch([`${hidden}0123456789`]);
    const secret = `${hidden}0123456789`;
    assert.ok(formsOf(secret).size >= 8);
    const text = Buffer.from(secret);
    const written = [
      text,
      encodeURIComponent(secret),
      text.toString('hex'),
      text.toString('hex').toUpperCase(),
      ...['', 'u:', 'uu:', 'user:'].flatMap((before) => {
        const bytes = Buffer.from(`${before}${secret}-and-more`);
        return [bytes.toString('base64'), bytes.toString('base64url')];
      }),
    ];
    for (const form of written) {
      const bytes = Buffer.concat([Buffer.from('x='), Buffer.from(form), Buffer.from('&y')]);
      assert.deepEqual([...find(bytes)], [secret], form.toString());
    }
    assert.deepEqual([...find(Buffer.from('nothing to see here, 0123456789'))], []);
  });
});

test('docs/connectors-tested.md is what this run shows', () => {
  const written = document(entries, SILENT);
  if (process.env.UPDATE_DOCS === '1') writeFileSync(DOCUMENT, written);
  const kept = readFileSync(DOCUMENT, 'utf8');
  assert.equal(written, kept, 'after a change of the table: UPDATE_DOCS=1 node --test connectors.test.mjs');
});
