// Recomputes an AWS Signature Version 4 from a request as it arrived, independently of the SDK that made it.
// Source: AWS IAM User Guide, "Create a signed AWS API request". Any byte the proxy changed breaks it.

import { createHash, createHmac } from 'node:crypto';

const sha256 = (data) => createHash('sha256').update(data).digest('hex');
const hmac = (key, data) => createHmac('sha256', key).update(data).digest();

/**
 * @param {import('./origin.mjs').Received} received
 * @param {string} secret secret access key of the caller
 * @returns {{presented: string, computed: string, signedHeaders: string[]}} both signatures in hex
 */
export function signatures(received, secret) {
  const form = /^AWS4-HMAC-SHA256 Credential=([^,]+), SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/;
  const [, credential, signed, presented] = form.exec(received.headers.authorization);
  const [, date, region, service] = credential.split('/');
  const signedHeaders = signed.split(';');
  const text = [
    'AWS4-HMAC-SHA256',
    received.headers['x-amz-date'],
    `${date}/${region}/${service}/aws4_request`,
    sha256(canonicalRequest(received, signedHeaders, service)),
  ].join('\n');
  const key = [date, region, service, 'aws4_request'].reduce(hmac, `AWS4${secret}`);
  return { presented, computed: hmac(key, text).toString('hex'), signedHeaders };
}

function canonicalRequest(received, signedHeaders, service) {
  const [path, query = ''] = received.target.split('?');
  return [
    received.method,
    service === 's3' ? path : path.split('/').map(encodeSegment).join('/'),
    query.split('&').sort().join('&'),
    ...signedHeaders.map((name) => `${name}:${received.headers[name].trim().replace(/ +/g, ' ')}`),
    '',
    signedHeaders.join(';'),
    received.sha256,
  ].join('\n');
}

/** Every service but S3 signs the path encoded once more: `%3A` on the wire is `%253A` here. */
function encodeSegment(segment) {
  return encodeURIComponent(segment).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}
