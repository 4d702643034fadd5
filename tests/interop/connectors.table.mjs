// The table: one entry per call of a connector type, as data. `connectors.test.mjs` makes the calls.
// Sources: Kibana's source where it was read, else the vendor's documentation of the endpoint.

import alerting from './connectors/alerting.mjs';
import callers from './connectors/callers.mjs';
import cases from './connectors/cases.mjs';
import intelligence from './connectors/intelligence.mjs';
import models from './connectors/models.mjs';
import workplace from './connectors/workplace.mjs';

/** @type {import('./connectors/entry.mjs').Entry[]} */
export const ENTRIES = [...alerting, ...cases, ...models, ...callers, ...intelligence, ...workplace];

/** Connector types that make no call of their own over the network Kibana is in. */
export const SILENT = {
  '.inference': 'Elasticsearch makes the call',
  '.index': 'nothing leaves the cluster',
  '.server-log': 'nothing leaves the cluster',
  '.cases': 'nothing leaves the cluster',
  '.observability-ai-assistant': 'nothing leaves the cluster',
  '.workflows': 'nothing leaves the cluster',
};

/** What an operator writes into `connectors_file` for services that no catalogue can know. */
export const OWN_CONNECTORS = {
  connectors: [
    {
      id: '.webhook',
      hosts: ['connectors.nybble-analytics.io', 'hooks.acme.example', 'login.acme.example', 'mtls.acme.example'],
      endpoints: ['POST connectors.nybble-analytics.io/conn/elastic'],
      token_endpoints: ['POST login.acme.example/oauth2/token'],
    },
    { id: '.cases-webhook', hosts: ['cases.acme.example'] },
    { id: '.http', hosts: ['api.acme.example'] },
    {
      id: '.baton-elastic',
      hosts: ['api.elastic-cloud.com', '*.aws.found.io'],
      endpoints: [
        'GET api.elastic-cloud.com/api/v1/organizations/{organization}/members',
        'POST api.elastic-cloud.com/api/v1/organizations/{organization}/invitations',
      ],
    },
  ],
};
