// Signature Version 4 as the spec framework's `aws_credentials` adds it to an axios request. The signer is the AWS SDK's.

import { createHash, createHmac } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';

/** The hash the signer asks for: HMAC-SHA256 when it gives a key, else SHA-256. */
class Sha256 {
  constructor(key) {
    this.hash = key ? createHmac('sha256', key) : createHash('sha256');
  }
  update(data) {
    this.hash.update(data);
  }
  async digest() {
    return new Uint8Array(this.hash.digest());
  }
}

/**
 * The header fields of a call, signed.
 * @param {{method: string, url: string, headers: Record<string, string>, data?: string, region: string, service: string,
 *   credentials: {accessKeyId: string, secretAccessKey: string, sessionToken?: string}}} call
 */
export async function sign({ method, url, headers, data, region, service, credentials }) {
  const { hostname, host, pathname, searchParams } = new URL(url);
  const signer = new SignatureV4({
    service,
    region,
    credentials,
    sha256: Sha256,
    uriEscapePath: service !== 's3',
    applyChecksum: true,
  });
  const request = {
    method,
    protocol: 'https:',
    hostname,
    path: pathname,
    query: Object.fromEntries(searchParams),
    headers: { ...headers, host },
    body: data,
  };
  const signed = await signer.sign(request);
  return signed.headers;
}
