// Chat, paging, automation and webhooks: what alerting rules call.

import { basic, classic, JSON_TYPE, tokenRequest } from './entry.mjs';

const ALERT = 'CPU of web-01 is above 90 %';

const chat = [
  classic('.slack', 'message to a webhook', (secret) => {
    const url = `https://hooks.slack.com/services/T024BE7LD/B024BE7LE/${secret('path')}`;
    const text = `${ALERT}: ${secret('body')}`;
    return {
      client: 'slack',
      options: { url, text },
      exchanges: [{ method: 'POST', url, body: JSON.stringify({ text }), path: '/services/{team}/{bot}/{secret}' }],
      type: 'text/html',
      body: 'ok',
      expect: { body: 'ok' },
    };
  }),
  classic('.slack_api', 'message to a channel', (secret) => ({
    method: 'POST',
    url: 'https://slack.com/api/chat.postMessage',
    headers: { 'Content-Type': 'application/json; charset=UTF-8', Authorization: `Bearer xoxb-${secret('header')}` },
    data: { channel: 'C024BE91L', text: `${ALERT}: ${secret('body')}` },
    path: '/api/chat.postMessage',
  })),
  classic('.slack_api', 'look up a channel', (secret) => ({
    method: 'GET',
    url: `https://slack.com/api/conversations.info?channel=${secret('query')}`,
    headers: { Authorization: `Bearer xoxb-${secret('header')}` },
    path: '/api/conversations.info',
  })),
  classic('.teams', 'message to an Office 365 webhook', (secret) => ({
    method: 'POST',
    url: `https://acme.webhook.office.com/webhook/${secret('path')}@${secret('path')}/IncomingWebhook/${secret('path')}/${secret('path')}`,
    headers: JSON_TYPE,
    data: { text: `${ALERT}: ${secret('body')}` },
    type: 'text/plain; charset=utf-8',
    body: '1',
    path: '/webhook/{id}/IncomingWebhook/{secret}/{owner}',
  })),
  classic('.teams', 'message to a Power Automate workflow', (secret) => ({
    method: 'POST',
    url: `https://prod-27.westeurope.logic.azure.com/workflows/${secret('path')}/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=${secret('query')}`,
    headers: JSON_TYPE,
    data: { text: `${ALERT}: ${secret('body')}` },
    status: 202,
    path: '/workflows/{workflow}/triggers/{trigger}/paths/invoke',
  })),
];

const paging = [
  classic('.pagerduty', 'trigger an incident', (secret) => ({
    method: 'POST',
    url: 'https://events.pagerduty.com/v2/enqueue',
    headers: { ...JSON_TYPE, 'X-Routing-Key': secret('header') },
    data: {
      event_action: 'trigger',
      dedup_key: `alert:${secret('body')}`,
      payload: { summary: ALERT, source: 'Kibana Action', severity: 'critical' },
    },
    status: 202,
    path: '/v2/enqueue',
  })),
  classic('.opsgenie', 'create an alert', (secret) => ({
    method: 'POST',
    url: 'https://api.opsgenie.com/v2/alerts',
    headers: { Authorization: `GenieKey ${secret('header')}` },
    data: { message: ALERT, alias: secret('body'), priority: 'P1' },
    status: 202,
    path: '/v2/alerts',
  })),
  classic('.opsgenie', 'close an alert, EU', (secret) => ({
    method: 'POST',
    url: `https://api.eu.opsgenie.com/v2/alerts/${secret('path')}/close?identifierType=alias`,
    headers: { Authorization: `GenieKey ${secret('header')}` },
    data: { note: secret('body') },
    status: 202,
    path: '/v2/alerts/{alias}/close',
  })),
  classic('.jira-service-management', 'create an alert', (secret) => ({
    method: 'POST',
    url: 'https://api.atlassian.com/jsm/ops/integration/v2/alerts',
    headers: { Authorization: `GenieKey ${secret('header')}` },
    data: { message: ALERT, alias: secret('body') },
    status: 202,
    path: '/jsm/ops/integration/v2/alerts',
  })),
  classic('.xmatters', 'trigger a flow, API key in the URL', (secret) => ({
    method: 'POST',
    url: `https://acme.hosted.xmatters.com/api/integration/1/functions/${secret('path')}/triggers?apiKey=${secret('query')}`,
    data: { alertActionGroupName: 'threshold met', ruleName: ALERT, signalId: secret('body'), severity: 'high' },
    status: 202,
    path: '/api/integration/1/functions/{function}/triggers',
  })),
  classic('.xmatters', 'trigger a flow, Basic authentication', (secret) => ({
    method: 'POST',
    url: `https://acme.eu.xmatters.com/api/integration/1/functions/${secret('path')}/triggers`,
    headers: { Authorization: basic('kibana', secret('header')) },
    data: { alertActionGroupName: 'recovered', ruleName: ALERT, signalId: secret('body'), severity: 'low' },
    status: 202,
  })),
];

const automation = [
  classic('.torq', 'run a workflow', (secret) => ({
    method: 'POST',
    url: `https://hooks.torq.io/v1/webhooks/${secret('path')}`,
    headers: { 'X-Torq-Token': secret('header'), ...JSON_TYPE },
    data: { message: ALERT, id: secret('body') },
    path: '/v1/webhooks/{webhook}',
  })),
  classic('.torq', 'run a workflow, EU', (secret) => ({
    method: 'POST',
    url: `https://hooks.eu.torq.io/v1/webhooks/${secret('path')}`,
    headers: { 'X-Torq-Token': secret('header'), ...JSON_TYPE },
    data: { message: ALERT, id: secret('body') },
  })),
  classic('.tines', 'list stories', (secret) => ({
    method: 'GET',
    url: 'https://quiet-forest-1234.tines.com/api/v1/stories?per_page=500',
    headers: { 'x-user-email': `${secret('header')}@acme.example`, 'x-user-token': secret('header') },
    path: '/api/v1/stories',
  })),
  classic('.tines', 'list webhooks of a story', (secret) => ({
    method: 'GET',
    url: 'https://quiet-forest-1234.tines.com/api/v1/agents?story_id=7&per_page=500',
    headers: { 'x-user-email': `${secret('header')}@acme.example`, 'x-user-token': secret('header') },
    body: JSON.stringify({ agents: [{ options: { path: secret('answer'), secret: secret('answer') } }], meta: {} }),
  })),
  classic('.tines', 'run a webhook', (secret) => ({
    method: 'POST',
    url: `https://quiet-forest-1234.tines.com/webhook/${secret('path')}/${secret('path')}`,
    headers: JSON_TYPE,
    data: JSON.stringify({ alerts: [{ id: secret('body') }] }),
    path: '/webhook/{path}/{secret}',
  })),
];

const webhooks = [
  classic('.webhook', 'Nybble: Basic authentication, text/plain', (secret) => ({
    method: 'POST',
    url: 'https://connectors.nybble-analytics.io/conn/elastic',
    headers: { Authorization: basic('acme-elastic', secret('header')), 'Content-Type': 'text/plain' },
    data: `{"rule": "${ALERT}", "id": "${secret('body')}"}`,
    type: 'text/plain',
    body: 'accepted',
    path: '/conn/elastic',
  })),
  classic(
    '.webhook',
    'any method, secret header, secret in path and query',
    (secret) => ({
      method: 'PUT',
      url: `https://hooks.acme.example/inbound/${secret('path')}/alerts?token=${secret('query')}&${secret('query')}`,
      headers: { ...JSON_TYPE, 'X-Acme-Signature': secret('header') },
      data: `{"id":"${secret('body')}"}`,
      status: 201,
    }),
    { source: 'host' },
  ),
  classic(
    '.webhook',
    'password with signs that are encoded',
    (secret) => ({
      method: 'POST',
      url: `https://hooks.acme.example/basic?note=${encodeURIComponent(`ü/+=&% ${secret('query')}`)}`,
      headers: { ...JSON_TYPE, Authorization: basic('user@acme.example', `p:/+=&%ü ${secret('header')}`) },
      data: `{"id":"${secret('body')}"}`,
    }),
    { source: 'host' },
  ),
  classic('.webhook', 'OAuth token for client credentials', (secret) => ({
    ...tokenRequest('https://login.acme.example/oauth2/token', secret, 'alerts'),
    path: '/oauth2/token',
  })),
  classic(
    '.webhook',
    'plain HTTP, absolute-form',
    (secret) => ({
      method: 'POST',
      url: `http://hooks.acme.example/plain/${secret('path')}`,
      headers: { ...JSON_TYPE, Authorization: basic('kibana', secret('header')) },
      data: `{"id":"${secret('body')}"}`,
    }),
    { source: 'host' },
  ),
  classic(
    '.webhook',
    'client certificate',
    (secret) => ({
      method: 'POST',
      url: 'https://mtls.acme.example/alerts',
      headers: { ...JSON_TYPE, 'X-Acme-Key': secret('header') },
      data: `{"id":"${secret('body')}"}`,
      options: { agents: 'new', certificate: true },
      tunnel: true,
    }),
    { source: 'host', note: 'tunnel: client certificate' },
  ),
  classic(
    '.cases-webhook',
    'create a case',
    (secret) => ({
      method: 'POST',
      url: 'https://cases.acme.example/rest/cases',
      headers: { ...JSON_TYPE, Authorization: basic('kibana', secret('header')) },
      data: `{"title":"${ALERT}","description":"${secret('body')}"}`,
      status: 201,
    }),
    { source: 'host' },
  ),
  classic(
    '.cases-webhook',
    'get a case',
    (secret) => ({
      method: 'GET',
      url: `https://cases.acme.example/rest/cases/${secret('path')}`,
      headers: { Authorization: basic('kibana', secret('header')) },
    }),
    { source: 'host' },
  ),
  classic(
    '.cases-webhook',
    'update a case',
    (secret) => ({
      method: 'PUT',
      url: `https://cases.acme.example/rest/cases/${secret('path')}`,
      headers: { ...JSON_TYPE, Authorization: basic('kibana', secret('header')) },
      data: `{"title":"${ALERT}","tags":["${secret('body')}"]}`,
    }),
    { source: 'host' },
  ),
  classic(
    '.http',
    'DELETE with a secret query',
    (secret) => ({
      method: 'DELETE',
      url: `https://api.acme.example/v1/blocklist/${secret('path')}?api_key=${secret('query')}`,
      headers: { Authorization: `Bearer ${secret('header')}` },
      status: 204,
      body: '',
    }),
    { source: 'host' },
  ),
  classic(
    '.http',
    'PATCH with a body',
    (secret) => ({
      method: 'PATCH',
      url: 'https://api.acme.example/v1/status',
      headers: { ...JSON_TYPE, 'X-Api-Key': secret('header') },
      data: `{"state":"${secret('body')}"}`,
    }),
    { source: 'host' },
  ),
];

export default [...chat, ...paging, ...automation, ...webhooks];
