// axios as `axios_utils.request()` and `getAxiosInstanceWithAuth()` use it: the agents do the proxying, `proxy: false`.
// Reports each piece of a response that is read as a stream.

import { customAgents } from './agents.mjs';
import { sign } from './aws-signature.mjs';

export default async function perform(call, report) {
  const { default: axios } = await import(call.axios === 'old' ? 'axios-old' : 'axios');
  const response = await axios.request({
    url: call.url,
    method: call.method ?? 'get',
    data: call.data,
    headers: call.credentials ? await sign(call) : call.headers,
    auth: call.auth,
    responseType: call.stream ? 'stream' : undefined,
    ...(await customAgents(call)),
    proxy: false,
    maxContentLength: call.maxContentLength ?? 1_000_000,
    timeout: 30_000,
  });
  return { status: response.status, body: call.stream ? await read(response.data, report) : response.data };
}

async function read(stream, report) {
  const chunks = [];
  for await (const chunk of stream) {
    chunks.push(chunk);
    report('piece');
  }
  return Buffer.concat(chunks).toString();
}
