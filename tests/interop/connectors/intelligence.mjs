// Threat intelligence and search connectors of the spec framework.

import { JSON_TYPE, spec } from './entry.mjs';

const BOUNDARY = 'axios-1.13.5-boundary-7f3a';

/** One file as multipart/form-data (RFC 7578), with bytes that are not text. */
const upload = (content) =>
  [
    `--${BOUNDARY}`,
    'Content-Disposition: form-data; name="file"; filename="sample.bin"',
    'Content-Type: application/octet-stream',
    '',
    `MZ\u0000\u0001${content}`,
    `--${BOUNDARY}--`,
    '',
  ].join('\r\n');

const get = (connector, what, url, header, path) =>
  spec(connector, what, (secret) => ({ method: 'GET', url: url(secret), headers: header(secret), path }));

export default [
  get(
    '.virustotal',
    'report on a file',
    (secret) => `https://www.virustotal.com/api/v3/files/${secret('path')}`,
    (secret) => ({ 'x-apikey': secret('header') }),
    '/api/v3/files/{file}',
  ),
  get(
    '.virustotal',
    'report on an address',
    () => 'https://www.virustotal.com/api/v3/ip_addresses/198.51.100.7',
    (secret) => ({ 'x-apikey': secret('header') }),
    '/api/v3/ip_addresses/{address}',
  ),
  spec('.virustotal', 'scan a URL', (secret) => ({
    method: 'POST',
    url: 'https://www.virustotal.com/api/v3/urls',
    headers: { 'x-apikey': secret('header'), 'Content-Type': 'application/x-www-form-urlencoded' },
    data: `url=${encodeURIComponent(`https://evil.example/?id=${secret('body')}`)}`,
    path: '/api/v3/urls',
  })),
  spec('.virustotal', 'upload a file, multipart', (secret) => ({
    method: 'POST',
    url: 'https://www.virustotal.com/api/v3/files',
    headers: { 'x-apikey': secret('header'), 'Content-Type': `multipart/form-data; boundary=${BOUNDARY}` },
    data: upload(secret('body')),
    path: '/api/v3/files',
  })),
  get(
    '.abuseipdb',
    'check an address',
    (secret) => `https://api.abuseipdb.com/api/v2/check?ipAddress=${secret('query')}&maxAgeInDays=90`,
    (secret) => ({ Key: secret('header'), Accept: 'application/json' }),
    '/api/v2/check',
  ),
  spec('.abuseipdb', 'report an address', (secret) => ({
    method: 'POST',
    url: 'https://api.abuseipdb.com/api/v2/report',
    headers: { Key: secret('header'), ...JSON_TYPE },
    data: { ip: '198.51.100.7', categories: '18,22', comment: secret('body') },
    path: '/api/v2/report',
  })),
  get(
    '.alienvault-otx',
    'look up an indicator',
    (secret) => `https://otx.alienvault.com/api/v1/indicators/domain/${secret('path')}.example/general`,
    (secret) => ({ 'X-OTX-API-KEY': secret('header') }),
    '/api/v1/indicators/domain/{indicator}/general',
  ),
  get(
    '.greynoise',
    'context of an address',
    () => 'https://api.greynoise.io/v2/noise/context/198.51.100.7',
    (secret) => ({ key: secret('header') }),
    '/v2/noise/context/{address}',
  ),
  get(
    '.greynoise',
    'metadata of an address',
    (secret) => `https://api.greynoise.io/v2/meta/metadata?ip=${secret('query')}`,
    (secret) => ({ key: secret('header') }),
    '/v2/meta/metadata',
  ),
  get(
    '.greynoise',
    'is it a benign service',
    () => 'https://api.greynoise.io/v2/riot/198.51.100.8',
    (secret) => ({ key: secret('header') }),
    '/v2/riot/{address}',
  ),
  get(
    '.shodan',
    'host, key in the query',
    (secret) => `https://api.shodan.io/shodan/host/198.51.100.7?key=${secret('query')}`,
    (secret) => ({ 'X-Api-Key': secret('header') }),
    '/shodan/host/{address}',
  ),
  get(
    '.shodan',
    'services',
    (secret) => `https://api.shodan.io/shodan/services?key=${secret('query')}`,
    (secret) => ({ 'X-Api-Key': secret('header') }),
    '/shodan/services',
  ),
  get(
    '.urlvoid',
    'scan a domain, key in the path',
    (secret) => `https://api.urlvoid.com/api1000/${secret('path')}/host/evil.example`,
    (secret) => ({ 'X-Api-Key': secret('header') }),
    '/api1000/{api_key}/host/{domain}',
  ),
  get(
    '.urlvoid',
    'calls that remain',
    (secret) => `https://api.urlvoid.com/api1000/${secret('path')}/stats/remained`,
    (secret) => ({ 'X-Api-Key': secret('header') }),
    '/api1000/{api_key}/stats/remained',
  ),
  get(
    '.brave-search',
    'search the web',
    (secret) => `https://api.search.brave.com/res/v1/web/search?q=${secret('query')}&count=10`,
    (secret) => ({ 'X-Subscription-Token': secret('header'), Accept: 'application/json' }),
    '/res/v1/web/search',
  ),
  spec('.jina', 'read a page', (secret) => ({
    method: 'POST',
    url: 'https://r.jina.ai/',
    headers: { Authorization: `Bearer ${secret('header')}`, ...JSON_TYPE, Accept: 'application/json' },
    data: { url: `https://evil.example/${secret('body')}` },
    path: '/',
  })),
  spec('.jina', 'search the web', (secret) => ({
    method: 'POST',
    url: 'https://s.jina.ai/',
    headers: { Authorization: `Bearer ${secret('header')}`, ...JSON_TYPE },
    data: { q: secret('body') },
  })),
  spec('.firecrawl', 'scrape a page', (secret) => ({
    method: 'POST',
    url: 'https://api.firecrawl.dev/v2/scrape',
    headers: { Authorization: `Bearer ${secret('header')}`, ...JSON_TYPE },
    data: { url: `https://evil.example/${secret('body')}`, onlyMainContent: true, waitFor: 0 },
  })),
];
