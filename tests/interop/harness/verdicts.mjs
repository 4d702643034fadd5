// What a row says in each of the three situations every client is put in. Tests add what is particular to the client.

/** Allowed by `--allow-host` and relayed to its end. */
export const ALLOWED = {
  decision: 'allow',
  policy_rule: 'flag:--allow-host',
  deny_reason: null,
  outcome: 'completed',
  upstream_ip: '127.0.0.1',
  error: null,
};

/** Refused because no rule names the host; nothing was resolved or dialled. */
export const DENIED = {
  decision: 'deny',
  deny_reason: 'host_not_allowed',
  outcome: 'denied',
  status: 403,
  upstream_ip: null,
  upstream_port: null,
  dns_us: null,
  connect_us: null,
};

/** Allowed, but nothing listens upstream. */
export const DOWN = { decision: 'allow', deny_reason: null, outcome: 'upstream_failed', status: 502 };
