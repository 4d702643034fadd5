// Documents, storage, code, clouds: the other connectors of the spec framework.

import { basic, classic, JSON_TYPE, spec, tokenRequest } from './entry.mjs';
import { signed } from './models.mjs';

const bearer = (secret) => ({ Authorization: `Bearer ${secret('header')}` });
const asked = (connector, what, url, { headers = bearer, source, ...more } = {}) =>
  spec(connector, what, (secret) => ({ method: 'GET', url: url(secret), headers: headers(secret), ...more }), {
    source,
  });
const posted = (connector, what, url, data, { headers = bearer, source, ...more } = {}) =>
  spec(
    connector,
    what,
    (secret) => ({
      method: 'POST',
      url: url(secret),
      headers: { ...headers(secret), ...JSON_TYPE },
      data: data(secret),
      ...more,
    }),
    { source },
  );
/** Vendors whose sessions identify themselves with an agent of the connector, not with axios and the fragment. */
const named = (connector, what, agent, make) =>
  classic(connector, what, (secret) => {
    const call = make(secret);
    return { ...call, headers: { 'User-Agent': agent, ...call.headers } };
  });

const GRAPH = 'https://graph.microsoft.com/v1.0';
const knowledge = [
  posted(
    '.notion',
    'search',
    () => 'https://api.notion.com/v1/search',
    (secret) => ({ query: secret('body') }),
    { headers: (secret) => ({ ...bearer(secret), 'Notion-Version': '2025-09-03' }), path: '/v1/search' },
  ),
  asked('.notion', 'get a page', (secret) => `https://api.notion.com/v1/pages/${secret('path')}`, {
    path: '/v1/pages/{page}',
  }),
  spec('.notion', 'OAuth token', (secret) => ({
    method: 'POST',
    url: 'https://api.notion.com/v1/oauth/token',
    headers: { Authorization: basic('kibana', secret('header')), ...JSON_TYPE },
    data: { grant_type: 'authorization_code', code: secret('body') },
    body: JSON.stringify({ access_token: secret('answer'), bot_id: 'b' }),
  })),
  asked('.github', 'list issues', () => 'https://api.github.com/repos/acme/soc/issues?state=open', {
    headers: (secret) => ({ ...bearer(secret), Accept: 'application/vnd.github+json' }),
    path: '/repos/{owner}/{repository}/issues',
  }),
  posted(
    '.github',
    'GraphQL',
    () => 'https://api.github.com/graphql',
    (secret) => ({ query: `{ node(id: "${secret('body')}") { id } }` }),
  ),
  spec('.github', 'OAuth token', (secret) => ({
    method: 'POST',
    url: 'https://github.com/login/oauth/access_token',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded', Accept: 'application/json' },
    data: `client_id=kibana&client_secret=${secret('body')}&code=${secret('body')}`,
    body: JSON.stringify({ access_token: secret('answer'), token_type: 'bearer' }),
  })),
  posted(
    '.slack2',
    'search messages',
    () => 'https://slack.com/api/search.messages',
    (secret) => ({ query: secret('body') }),
  ),
  spec('.slack2', 'OAuth token', (secret) => ({
    method: 'POST',
    url: 'https://slack.com/api/oauth.v2.access',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    data: `client_id=kibana&client_secret=${secret('body')}&code=${secret('body')}`,
    body: JSON.stringify({ ok: true, access_token: `xoxb-${secret('answer')}` }),
  })),
  posted(
    '.sharepoint-online',
    'search',
    () => `${GRAPH}/search/query`,
    (secret) => ({ requests: [{ entityTypes: ['site'], query: { queryString: secret('body') } }] }),
    { path: '/v1.0/search/query' },
  ),
  asked(
    '.sharepoint-online',
    'a site by its path',
    (secret) => `${GRAPH}/sites/acme.sharepoint.com:/sites/${secret('path')}`,
  ),
  asked(
    '.zendesk',
    'search tickets',
    (secret) => `https://acme.zendesk.com/api/v2/search.json?query=${secret('query')}`,
    { headers: (secret) => ({ Authorization: basic('soc@acme.example/token', secret('header')) }) },
  ),
  asked(
    '.confluence-cloud',
    'get a page',
    (secret) => `https://acme.atlassian.net/wiki/api/v2/pages/${secret('path')}`,
    { headers: (secret) => ({ Authorization: basic('soc@acme.example', secret('header')) }) },
  ),
  posted(
    '.jira-cloud',
    'search issues',
    () => 'https://acme.atlassian.net/rest/api/3/search/jql',
    (secret) => ({ jql: secret('body') }),
    { headers: (secret) => ({ Authorization: basic('soc@acme.example', secret('header')) }) },
  ),
  asked(
    '.servicenow_search',
    'search a table',
    (secret) =>
      `https://dev1004.service-now.com/api/now/table/kb_knowledge?sysparm_query=GOTO123TEXTQUERY321%3D${secret('query')}&sysparm_limit=20`,
    { headers: bearer },
  ),
  asked(
    '.sharepoint-server',
    'search',
    (secret) => `https://sharepoint.acme.example/_api/search/query?querytext=%27${secret('query')}%27`,
    {
      headers: (secret) => ({
        Authorization: basic('soc', secret('header')),
        Accept: 'application/json;odata=verbose',
      }),
      source: 'path',
    },
  ),
];

const office = [
  asked(
    '.gmail',
    'search messages',
    (secret) => `https://gmail.googleapis.com/gmail/v1/users/me/messages?q=${secret('query')}`,
  ),
  asked(
    '.google_calendar',
    'list events',
    (secret) => `https://www.googleapis.com/calendar/v3/calendars/${secret('mail')}%40acme.example/events`,
  ),
  asked('.google_drive', 'search files', (secret) => `https://www.googleapis.com/drive/v3/files?q=${secret('query')}`),
  asked('.microsoft-teams', 'list teams', () => `${GRAPH}/me/joinedTeams`),
  asked('.one_drive', 'search files', (secret) => `${GRAPH}/me/drive/root/search(q='${secret('path')}')`),
  asked('.outlook', 'search mail', (secret) => `${GRAPH}/me/messages?$search=%22${secret('query')}%22`),
  asked('.zoom', 'list meetings', () => 'https://api.zoom.us/v2/users/me/meetings'),
  asked('.box', 'search', (secret) => `https://api.box.com/2.0/search?query=${secret('query')}`),
  asked('.figma', 'get a file', (secret) => `https://api.figma.com/v1/files/${secret('path')}`),
  posted(
    '.monday_com',
    'GraphQL',
    () => 'https://api.monday.com/v2',
    (secret) => ({ query: `{ boards(ids: "${secret('body')}") { id } }` }),
  ),
  posted(
    '.hubspot',
    'search contacts',
    () => 'https://api.hubapi.com/crm/v3/objects/contacts/search',
    (secret) => ({ query: secret('body') }),
  ),
  asked(
    '.salesforce',
    'query',
    (secret) => `https://acme.my.salesforce.com/services/data/v66.0/query?q=${secret('query')}`,
  ),
];

const clouds = [
  spec('.amazon_s3', 'list objects', (secret) =>
    signed(secret, {
      service: 's3',
      region: 'eu-central-1',
      method: 'GET',
      url: `https://acme-logs.s3.eu-central-1.amazonaws.com/?list-type=2&prefix=${secret('query')}`,
      headers: {},
    }),
  ),
  spec('.amazon_s3', 'get an object, streamed', (secret) => ({
    ...signed(secret, {
      service: 's3',
      region: 'eu-central-1',
      method: 'GET',
      url: `https://acme-logs.s3.eu-central-1.amazonaws.com/2026/${secret('path')}%20%2B%20x.bin`,
      headers: {},
    }),
    type: 'application/octet-stream',
    pieces: [Buffer.from([0, 255, 254]), Buffer.from(secret('answer'))],
  })),
  spec('.amazon_s3', 'head of an object', (secret) => ({
    ...signed(secret, {
      service: 's3',
      region: 'eu-central-1',
      method: 'HEAD',
      url: `https://s3.eu-central-1.amazonaws.com/acme-logs/${secret('path')}`,
      headers: {},
    }),
    body: '',
  })),
  spec('.amazon_s3', 'get by a presigned URL', (secret) => ({
    method: 'GET',
    url: `https://acme-logs.s3.eu-central-1.amazonaws.com/report.pdf?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${secret('query')}%2F20261122%2Feu-central-1%2Fs3%2Faws4_request&X-Amz-Expires=300&X-Amz-Signature=${secret('query')}`,
  })),
  spec('.aws_lambda', 'invoke a function', (secret) =>
    signed(secret, {
      service: 'lambda',
      region: 'us-east-1',
      method: 'POST',
      url: 'https://lambda.us-east-1.amazonaws.com/2015-03-31/functions/contain-host/invocations',
      headers: {
        'Content-Type': 'application/x-www-form-urlencoded',
        'X-Amz-Invocation-Type': 'RequestResponse',
        'X-Amz-Log-Type': 'Tail',
      },
      data: JSON.stringify({ host: secret('body') }),
    }),
  ),
  asked(
    '.azure-blob',
    'list blobs, shared key',
    () => 'https://acmelogs.blob.core.windows.net/audit?restype=container&comp=list',
    {
      headers: (secret) => ({
        Authorization: `SharedKey acmelogs:${secret('header')}`,
        'x-ms-version': '2021-06-08',
        'x-ms-date': 'Sun, 22 Nov 2026 09:30:00 GMT',
      }),
      type: 'application/xml',
      body: '<?xml version="1.0" encoding="utf-8"?><EnumerationResults/>',
    },
  ),
  posted(
    '.bigquery',
    'query',
    () => 'https://bigquery.googleapis.com/bigquery/v2/projects/acme-soc/queries',
    (secret) => ({ query: `SELECT '${secret('body')}'` }),
  ),
  asked(
    '.google_cloud_storage',
    'list objects',
    (secret) => `https://storage.googleapis.com/storage/v1/b/acme-logs/o?prefix=${secret('query')}`,
  ),
  asked(
    '.gcp_cloud_functions',
    'list functions',
    () => 'https://cloudfunctions.googleapis.com/v2/projects/acme-soc/locations/europe-west1/functions',
  ),
  asked('.kubernetes', 'list pods', () => 'https://k8s.acme.example/api/v1/namespaces/payments/pods', {
    source: 'path',
  }),
  asked(
    '.grafana',
    'firing alerts',
    () => 'https://acme.grafana.net/api/alertmanager/grafana/api/v2/alerts?active=true',
    { headers: (secret) => ({ ...bearer(secret), 'X-Grafana-Org-Id': '1' }) },
  ),
  asked(
    '.grafana',
    'an alert rule',
    (secret) => `https://acme.grafana.net/api/v1/provisioning/alert-rules/${secret('path')}`,
  ),
  posted(
    '.snowflake',
    'run a statement',
    () => 'https://acme-soc.snowflakecomputing.com/api/v2/statements',
    (secret) => ({ statement: `SELECT '${secret('body')}'` }),
    {
      headers: (secret) => ({ ...bearer(secret), 'User-Agent': 'KibanaConnector/1.0' }),
      row: { user_agent_product: 'KibanaConnector/1.0', id_assurance: 'bound' },
      path: '/api/v2/statements',
    },
  ),
  named('.1password', 'suspend a user', 'ElasticKibana', (secret) => ({
    method: 'POST',
    url: `https://api.1password.com/v1/accounts/${secret('path')}/users/${secret('path')}:suspend`,
    headers: bearer(secret),
    path: '/v1/accounts/{account}/users/{user}:suspend',
  })),
  named('.1password', 'OAuth token', 'ElasticKibana', (secret) => {
    const { headers, ...token } = tokenRequest('https://api.1password.com/v1/oauth/token', secret, 'users');
    return { ...token, headers: { ...headers, Authorization: basic('kibana', secret('header')) } };
  }),
  named('.sublime_security', 'get a message group', 'ElasticKibana', (secret) => ({
    method: 'GET',
    url: `https://platform.sublime.security/v0/message-groups/${secret('path')}`,
    headers: bearer(secret),
    path: '/v0/message-groups/{group}',
  })),
  spec('.pagerduty_mcp', 'REST: create an incident', (secret) => ({
    method: 'POST',
    url: 'https://api.pagerduty.com/incidents',
    headers: { Authorization: `Token token=${secret('header')}`, From: `${secret('mail')}@acme.example`, ...JSON_TYPE },
    data: { incident: { type: 'incident', title: secret('body') } },
    status: 201,
    path: '/incidents',
  })),
  spec('.dropbox', 'OAuth token', (secret) => tokenRequest('https://api.dropboxapi.com/oauth2/token', secret, 'files')),
];

export default [...knowledge, ...office, ...clouds];
