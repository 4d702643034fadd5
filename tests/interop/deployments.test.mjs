// Two deployments, each allowed to one host: judged request by request, also on a connection they share.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { runClient } from './harness/client.mjs';
import { json } from './harness/origin.mjs';
import { until } from './harness/process.mjs';
import { assertRefusal, assertRow, setScene } from './harness/scene.mjs';

const ALPHA = 'a1'.repeat(16);
const BETA = 'b2'.repeat(16);
const HOSTS = { [ALPHA]: 'alpha.allowed.test', [BETA]: 'beta.allowed.test' };
const RULES = { [ALPHA]: 'alpha-webhooks', [BETA]: 'beta-webhooks' };
const agent = (deployment) => ({ 'User-Agent': `axios/1.13.5 elastic (deployment:${deployment})` });

let scene;
before(async () => {
  const rules = [ALPHA, BETA].map((id) => ({ name: RULES[id], hosts: [HOSTS[id]], for: { deployments: [id] } }));
  const policy = { mode: 'enforce', default: 'deny', rules };
  scene = await setScene({
    name: 'deployments',
    names: ['alpha', 'beta'],
    routes: { '/hook': json({ ok: true }) },
    policy,
  });
});
after(() => scene?.stop());

for (const scheme of ['https', 'http']) {
  describe(`several requests over one connection, ${scheme}`, () => {
    for (const [owner, other] of [
      [ALPHA, BETA],
      [BETA, ALPHA],
    ]) {
      test(`${HOSTS[owner]} answers its own deployment and refuses the other`, async () => {
        const host = HOSTS[owner];
        const origin = scheme === 'https' ? scene.secure : scene.plain;
        const url = `${scheme}://${host}:${origin.port}/hook`;
        const callers = [owner, other, owner, other];
        const { answers, connections } = await runClient(
          'keep-alive.mjs',
          { url, requests: callers.map(agent), proxyUrl: scene.gate.proxyUrl },
          { trust: scene.trust },
        );
        assert.equal(connections, 1);
        assert.deepEqual(
          answers.map(({ status }) => status),
          [200, 403, 200, 403],
        );
        assert.equal(origin.at(host).length, 2);
        await assertRows({ scheme, host, owner, callers, answers });
      });
    }
  });
}

/** Each request has its row; they are told apart by their order, for rows come newest first. */
async function assertRows({ scheme, host, owner, callers, answers }) {
  const found = await until(`${callers.length} rows of ${host}`, async () => {
    const rows = (await scene.gate.rows(['--host', host])).filter((row) => row.scheme === scheme);
    return rows.length === callers.length ? rows.reverse() : undefined;
  });
  for (const [at, row] of found.entries()) {
    const own = callers[at] === owner;
    const verdict = own
      ? { decision: 'allow', deny_reason: null, outcome: 'completed', status: 200 }
      : { decision: 'deny', deny_reason: 'subject_not_allowed', outcome: 'denied', status: 403, upstream_ip: null };
    const id = { deployment_id: callers[at], id_assurance: 'claimed' };
    assertRow(row, {
      ...id,
      ...verdict,
      host,
      policy_rule: RULES[owner],
      kind: scheme === 'https' ? 'intercepted' : 'http',
    });
    assert.match(row.policy_hash, /^\S+$/);
    if (!own) {
      assertRefusal(answers[at].body, row);
      assert.equal(answers[at].body.deployment, callers[at]);
      assert.equal(answers[at].body.rule, RULES[owner]);
    }
  }
}
