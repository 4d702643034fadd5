// Mail, and a caller that is no Kibana: C1's baton-elastic, a Go program that reads Elastic Cloud and a deployment.

import { classic, JSON_TYPE } from './entry.mjs';

const mail = (what, host, implicit) =>
  classic(
    '.email',
    what,
    (secret) => ({
      client: 'nodemailer',
      mail: { host, implicit },
      options: {
        host,
        implicit,
        auth: { user: `alerts-${secret('header')}`, pass: secret('header') },
        subject: `Alert ${secret('body')}`,
        text: `CPU is hot ${secret('body')}`,
      },
    }),
    { source: 'port', note: 'tunnel: the server speaks first' },
  );

const go = (what, source, make) =>
  classic(
    '.baton-elastic',
    what,
    (secret) => {
      const { method = 'GET', url, headers, data, ...more } = make(secret);
      return {
        client: 'go-http2',
        options: { method, url, headers, data },
        exchanges: [{ method, url, headers, body: data }],
        expect: { protocol: 'h2' },
        row: { http_version: 'HTTP/2', user_agent_product: 'Go-http-client/2.0' },
        ...more,
      };
    },
    { source, note: 'named by connectors_file; HTTP/2' },
  );

export default [
  mail('STARTTLS', 'mail.acme.example', false),
  mail('TLS from the first byte', 'smtps.acme.example', true),
  classic('.email', 'Exchange: send by Microsoft Graph', (secret) => ({
    method: 'POST',
    url: `https://graph.microsoft.com/v1.0/users/${secret('mail')}@acme.example/sendMail`,
    headers: { Authorization: `Bearer ${secret('header')}`, ...JSON_TYPE },
    data: { message: { subject: 'Alert', body: { contentType: 'HTML', content: secret('body') } } },
    status: 202,
    body: '',
    path: /^\/v1\.0\/users\/\{(sender|mail)(:[0-9a-f]{12})?\}\/sendMail$/,
  })),
  go('members of an organization', 'host_path', (secret) => ({
    url: 'https://api.elastic-cloud.com/api/v1/organizations/1234567/members',
    headers: { authorization: `ApiKey ${secret('header')}` },
  })),
  go('invite a member', 'host_path', (secret) => ({
    method: 'POST',
    url: 'https://api.elastic-cloud.com/api/v1/organizations/1234567/invitations',
    headers: { authorization: `ApiKey ${secret('header')}`, 'content-type': 'application/json' },
    data: JSON.stringify({ emails: [`${secret('body')}@acme.example`] }),
    status: 201,
  })),
  go('users of a deployment', 'host', (secret) => ({
    url: `https://acme-soc.es.us-east-1.aws.found.io/_security/user/${secret('path')}`,
    headers: { authorization: `ApiKey ${secret('header')}` },
  })),
  go('roles of a deployment, Kibana endpoint', 'host', (secret) => ({
    url: `https://acme-soc.kb.us-east-1.aws.found.io/api/security/role?name=${secret('query')}`,
    headers: { authorization: `ApiKey ${secret('header')}` },
  })),
];
