// Preloaded for calls without a proxy: every name below `.test` is this machine.

import dns from 'node:dns';

const lookup = dns.lookup;

dns.lookup = (name, options, callback) => {
  const done = callback ?? options;
  if (!name.endsWith('.test')) return lookup(name, options, done);
  return options?.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4);
};
