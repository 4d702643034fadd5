// The shape of an entry of the table. The entries themselves are in the files beside this one, by kind of service.

/**
 * @typedef {(position: 'path' | 'query' | 'header' | 'body' | 'answer' | 'mail') => string} SecretMaker
 *
 * @typedef {object} Exchange one request the origin must see, and what its row must say
 * @property {string} method
 * @property {string} url
 * @property {Record<string, string>} [headers] exact values the origin must see
 * @property {string} [body] exact body the origin must see
 * @property {string | RegExp} [path] column `path`; absent: each segment as sent, or a placeholder
 * @property {number} [status]
 *
 * @typedef {object} Call what one entry does
 * @property {string} [client] script in `clients/`; default axios, called with `url`, `method`, `headers` and `data`
 * @property {object} [options] more for the client script
 * @property {string} [method]
 * @property {string} [url]
 * @property {Record<string, string>} [headers]
 * @property {string | object} [data]
 * @property {string | RegExp} [path] as in Exchange
 * @property {number} [status] of the answer
 * @property {string} [type] Content-Type of the answer
 * @property {string | Buffer} [body] of the answer; default a JSON document with a secret in it
 * @property {(string | Buffer)[]} [pieces] instead of `body`: written one by one, the second when the client has the first
 * @property {(received: object) => object} [reply] chooses among several answers
 * @property {Exchange[]} [exchanges] when there are several, or the client makes the request of its own
 * @property {{signature: string}} [aws] secret access key with which the origin recomputes the signature
 * @property {object} [expect] what the client must report, beside the status
 * @property {boolean} [streams] whether one of several answers has pieces
 * @property {boolean} [tunnel] the host is never intercepted
 * @property {{host: string, implicit: boolean}} [mail] instead of requests: mail, in a tunnel
 * @property {object} [row] more columns
 *
 * @typedef {object} Entry
 * @property {string} connector type id; the column `connector_type`
 * @property {string} what it does, in a few words
 * @property {string} source the column `connector_source`
 * @property {boolean} fragment whether the User-Agent carries Elastic's fragment, as the spec framework's does
 * @property {string} note for the document
 * @property {(secret: SecretMaker) => Call} make
 */

export const DEPLOYMENT = '0763c7f3a5cf4fc78981d801d2b8af6a';
/** The User-Agent of the spec framework. */
export const FRAGMENT = `axios/1.21.1 elastic (deployment:${DEPLOYMENT})`;

/** @returns {Entry} of a connector with code of its own: plain `axios/x.y.z` */
export const classic = (connector, what, make, { source = 'host_path', note = '' } = {}) => ({
  connector,
  what,
  source,
  note,
  fragment: false,
  make,
});

/** @returns {Entry} of a connector of the spec framework: `axios/x.y.z elastic (deployment:...)` */
export const spec = (connector, what, make, options) => ({
  ...classic(connector, what, make, options),
  fragment: true,
});

export const JSON_TYPE = { 'Content-Type': 'application/json' };
export const FORM_TYPE = { 'Content-Type': 'application/x-www-form-urlencoded; charset=UTF-8' };

/** The Authorization of HTTP Basic (RFC 7617). */
export const basic = (user, password) => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

/** A token request of `request_oauth_token.ts`: keys sorted, `grant_type` among them. */
export const tokenRequest = (url, secret, scope) => ({
  method: 'POST',
  url,
  headers: FORM_TYPE,
  data: `client_id=kibana&client_secret=${secret('body')}&grant_type=client_credentials&scope=${encodeURIComponent(scope)}`,
  type: 'application/json; charset=utf-8',
  body: JSON.stringify({ token_type: 'Bearer', expires_in: 3599, access_token: secret('answer') }),
});
