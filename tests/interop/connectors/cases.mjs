// Ticketing, case management and endpoint security.

import { basic, classic, JSON_TYPE, tokenRequest } from './entry.mjs';

const TITLE = 'Malware on web-01';

const jira = (secret) => ({ Authorization: basic('kibana@acme.example', secret('header')) });
const ticketing = [
  classic('.jira', 'create an issue', (secret) => ({
    method: 'POST',
    url: 'https://acme.atlassian.net/rest/api/2/issue',
    headers: jira(secret),
    data: {
      fields: { project: { key: 'SEC' }, issuetype: { id: '10002' }, summary: TITLE, description: secret('body') },
    },
    status: 201,
    path: '/rest/api/2/issue',
  })),
  classic('.jira', 'comment on an issue', (secret) => ({
    method: 'POST',
    url: 'https://acme.atlassian.net/rest/api/2/issue/SEC-17/comment',
    headers: jira(secret),
    data: { body: secret('body') },
    status: 201,
    path: '/rest/api/2/issue/SEC-17/comment',
  })),
  classic('.jira', 'search issues', (secret) => ({
    method: 'GET',
    url: `https://acme.atlassian.net/rest/api/2/search/jql?jql=project%3D%22SEC%22%20and%20summary%20~%22${secret('query')}%22`,
    headers: jira(secret),
    path: '/rest/api/2/search/jql',
  })),
  classic(
    '.jira',
    'Data Center: update an issue',
    (secret) => ({
      method: 'PUT',
      url: 'https://jira.acme.example/rest/api/2/issue/SEC-18',
      headers: jira(secret),
      data: { fields: { summary: `${TITLE} ${secret('body')}` } },
      status: 204,
      body: '',
    }),
    { source: 'path' },
  ),
  classic('.servicenow', 'ITSM: import an incident', (secret) => ({
    method: 'POST',
    url: 'https://dev1001.service-now.com/api/now/import/x_elas2_inc_int_elastic_incident',
    headers: { Authorization: basic('kibana', secret('header')) },
    data: { u_short_description: TITLE, u_correlation_id: secret('body'), u_correlation_display: 'Elastic Alerting' },
    status: 201,
  })),
  classic('.servicenow', 'ITSM: health of the application', (secret) => ({
    method: 'GET',
    url: 'https://dev1001.service-now.com/api/x_elas2_inc_int/elastic_api/health',
    headers: { Authorization: `Bearer ${secret('header')}` },
    path: '/api/x_elas2_inc_int/elastic_api/health',
  })),
  classic('.servicenow', 'ITSM: token for a JWT', (secret) => ({
    method: 'POST',
    url: 'https://dev1001.service-now.com/oauth_token.do',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded; charset=UTF-8' },
    data: `assertion=${secret('body')}&client_id=kibana&client_secret=${secret('body')}&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer`,
    body: JSON.stringify({ access_token: secret('answer'), token_type: 'Bearer', expires_in: 1799 }),
    path: '/oauth_token.do',
  })),
  classic('.servicenow-sir', 'SecOps: import a security incident', (secret) => ({
    method: 'POST',
    url: 'https://dev1002.service-now.com/api/now/import/x_elas2_sir_int_elastic_si_incident',
    headers: { Authorization: basic('kibana', secret('header')) },
    data: { u_short_description: TITLE, u_correlation_id: secret('body'), u_malware_hash: secret('body') },
    status: 201,
  })),
  classic('.servicenow-sir', 'SecOps: get a security incident', (secret) => ({
    method: 'GET',
    url: `https://dev1002.service-now.com/api/now/v2/table/sn_si_incident/${secret('path')}`,
    headers: { Authorization: basic('kibana', secret('header')) },
    path: '/api/now/v2/table/sn_si_incident/{record}',
  })),
  classic('.servicenow-itom', 'ITOM: add an event', (secret) => ({
    method: 'POST',
    url: 'https://dev1003.service-now.com/api/global/em/jsonv2',
    headers: { Authorization: basic('kibana', secret('header')) },
    data: { records: [{ source: 'Elastic', node: 'web-01', description: secret('body'), severity: '1' }] },
    path: '/api/global/em/jsonv2',
  })),
];

const response = [
  classic(
    '.swimlane',
    'create a record',
    (secret) => ({
      method: 'POST',
      url: `https://swimlane.acme.example/api/app/${secret('path')}/record`,
      headers: { ...JSON_TYPE, 'Private-Token': secret('header') },
      data: { applicationId: '123', values: { a: secret('body') } },
      path: '/api/app/{app}/record',
    }),
    { source: 'path_header' },
  ),
  classic(
    '.swimlane',
    'comment on a record',
    (secret) => ({
      method: 'POST',
      url: `https://swimlane.acme.example/api/app/${secret('path')}/record/${secret('path')}/${secret('path')}/comment`,
      headers: { ...JSON_TYPE, 'Private-Token': secret('header') },
      data: { createdDate: '2026-11-22', fieldId: 'f1', isRichText: true, message: secret('body') },
    }),
    { source: 'path_header' },
  ),
  classic(
    '.d3security',
    'create events',
    (secret) => ({
      method: 'POST',
      url: `https://d3.acme.example/elasticsearch/VSOC/${secret('path')}/CreateEvents`,
      headers: { d3key: secret('header') },
      data: { alert: TITLE, id: secret('body'), severity: 'High' },
    }),
    { source: 'path_header' },
  ),
  classic(
    '.resilient',
    'create an incident',
    (secret) => ({
      method: 'POST',
      url: 'https://soar.acme.example/rest/orgs/201/incidents?text_content_output_format=objects_convert',
      headers: { Authorization: basic(secret('header'), secret('header')) },
      data: {
        name: TITLE,
        discovered_date: 1_795_000_000_000,
        description: { format: 'html', content: secret('body') },
      },
      path: '/rest/orgs/{org}/incidents',
    }),
    { source: 'path' },
  ),
  classic(
    '.resilient',
    'update an incident',
    (secret) => ({
      method: 'PATCH',
      url: 'https://soar.acme.example/rest/orgs/201/incidents/2095',
      headers: { Authorization: basic(secret('header'), secret('header')) },
      data: { changes: [{ field: { name: 'name' }, new_value: { text: secret('body') } }] },
    }),
    { source: 'path' },
  ),
  classic(
    '.resilient',
    'comment on an incident',
    (secret) => ({
      method: 'POST',
      url: 'https://soar.acme.example/rest/orgs/201/incidents/2095/comments',
      headers: { Authorization: basic(secret('header'), secret('header')) },
      data: { text: { format: 'text', content: secret('body') } },
    }),
    { source: 'path' },
  ),
  classic(
    '.thehive',
    'create a case',
    (secret) => ({
      method: 'POST',
      url: 'https://thehive.acme.example/api/v1/case',
      headers: { Authorization: `Bearer ${secret('header')}`, 'X-Organisation': 'soc' },
      data: { title: TITLE, description: secret('body'), severity: 2 },
      status: 201,
    }),
    { source: 'path_header' },
  ),
  classic(
    '.thehive',
    'update a case',
    (secret) => ({
      method: 'PATCH',
      url: `https://thehive.acme.example/api/v1/case/~${secret('path')}`,
      headers: { Authorization: `Bearer ${secret('header')}`, 'X-Organisation': 'soc' },
      data: { title: TITLE, description: secret('body') },
      status: 204,
      body: '',
    }),
    { source: 'path_header' },
  ),
  classic(
    '.xsoar',
    'create an incident, cloud',
    (secret) => ({
      method: 'POST',
      url: 'https://api-acme.xdr.eu.paloaltonetworks.com/xsoar/public/v1/incident',
      headers: { Authorization: secret('header'), 'x-xdr-auth-id': secret('header') },
      data: { name: TITLE, playbookId: 'p1', details: secret('body') },
    }),
    { source: 'path_header' },
  ),
  classic(
    '.xsoar',
    'list playbooks, cloud',
    (secret) => ({
      method: 'POST',
      url: 'https://api-acme.xdr.eu.paloaltonetworks.com/xsoar/public/v1/playbook/search',
      headers: { Authorization: secret('header'), 'x-xdr-auth-id': secret('header') },
      data: {},
    }),
    { source: 'path_header' },
  ),
];

const S1 = 'https://usea1-acme.sentinelone.net/web/api/v2.1';
const CROWDSTRIKE = 'https://api.us-2.crowdstrike.com';
const DEFENDER = 'https://api.securitycenter.microsoft.com/api';
const zip = (secret) => [
  Buffer.from('PK\u0003\u0004'),
  Buffer.from([0, 255, 13, 10, 26]),
  Buffer.from(secret('answer')),
];
const endpoint = [
  classic('.sentinelone', 'find agents, token in the query', (secret) => ({
    method: 'GET',
    url: `${S1}/agents?uuids=${secret('query')}&APIToken=${secret('query')}`,
    path: '/web/api/v2.1/agents',
  })),
  classic('.sentinelone', 'isolate a host', (secret) => ({
    method: 'POST',
    url: `${S1}/agents/actions/disconnect?APIToken=${secret('query')}`,
    data: { filter: { ids: secret('body') } },
  })),
  classic('.sentinelone', 'download a file', (secret) => ({
    method: 'GET',
    url: `${S1}/agents/${secret('path')}/uploads/${secret('path')}?APIToken=${secret('query')}`,
    type: 'application/zip',
    pieces: zip(secret),
  })),
  classic('.sentinelone', 'run a remote script', (secret) => ({
    method: 'POST',
    url: `${S1}/remote-scripts/execute?APIToken=${secret('query')}`,
    data: { data: { outputDestination: 'SentinelCloud', scriptId: '1' }, filter: { ids: secret('body') } },
  })),
  classic('.crowdstrike', 'OAuth token', (secret) => ({
    method: 'POST',
    url: `${CROWDSTRIKE}/oauth2/token`,
    headers: {
      accept: 'application/json',
      'Content-Type': 'application/x-www-form-urlencoded',
      authorization: basic(secret('header'), secret('header')),
    },
    status: 201,
    body: JSON.stringify({ access_token: secret('answer'), expires_in: 1799, token_type: 'bearer' }),
    path: '/oauth2/token',
  })),
  classic('.crowdstrike', 'details of hosts', (secret) => ({
    method: 'GET',
    url: `${CROWDSTRIKE}/devices/entities/devices/v2?ids=${secret('query')}`,
    headers: { Authorization: `Bearer ${secret('header')}` },
    path: '/devices/entities/devices/v2',
  })),
  classic('.crowdstrike', 'contain a host', (secret) => ({
    method: 'POST',
    url: `${CROWDSTRIKE}/devices/entities/devices-actions/v2?action_name=contain`,
    headers: { Authorization: `Bearer ${secret('header')}` },
    data: { ids: [secret('body')] },
    status: 202,
  })),
  classic('.crowdstrike', 'run a script', (secret) => ({
    method: 'POST',
    url: `${CROWDSTRIKE}/real-time-response/combined/batch-active-responder-command/v1`,
    headers: { Authorization: `Bearer ${secret('header')}` },
    data: { base_command: 'runscript', command_string: `runscript ${secret('body')}`, batch_id: 'b', hosts: ['h'] },
    status: 201,
    path: '/real-time-response/combined/{command}/v1',
  })),
  classic(
    '.microsoft_defender_endpoint',
    'OAuth token',
    (secret) => ({
      ...tokenRequest(
        `https://login.microsoftonline.com/${secret('path')}/oauth2/v2.0/token`,
        secret,
        'https://securitycenter.onmicrosoft.com/windowsatpservice/.default',
      ),
    }),
    { source: 'shared', note: 'every Microsoft connector fetches its token there' },
  ),
  classic('.microsoft_defender_endpoint', 'list machines, OData', (secret) => ({
    method: 'GET',
    url: `${DEFENDER}/machines?$count=true&$top=20&$filter=id+eq+%27${secret('query')}%27`,
    headers: { Authorization: `Bearer ${secret('header')}` },
    path: '/api/machines',
  })),
  classic('.microsoft_defender_endpoint', 'isolate a machine', (secret) => ({
    method: 'POST',
    url: `${DEFENDER}/machines/${secret('path')}/isolate`,
    headers: { Authorization: `Bearer ${secret('header')}` },
    data: { Comment: secret('body'), IsolationType: 'Full' },
    status: 201,
    path: '/api/machines/{machine}/isolate',
  })),
  classic('.microsoft_defender_endpoint', 'run a script', (secret) => ({
    method: 'POST',
    url: `${DEFENDER}/machines/${secret('path')}/runliveresponse`,
    headers: { Authorization: `Bearer ${secret('header')}` },
    data: { Comment: secret('body'), Commands: [{ type: 'RunScript', params: [{ key: 'ScriptName', value: 's' }] }] },
    status: 201,
  })),
];

export default [...ticketing, ...response, ...endpoint];
