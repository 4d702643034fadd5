// axios as `axios_utils.request()` and `getAxiosInstanceWithAuth()` use it: the agents do the proxying, `proxy: false`.

import { customAgents } from './agents.mjs';
import { perform } from './call.mjs';

await perform(async (call) => {
  const { default: axios } = await import(call.axios === 'old' ? 'axios-old' : 'axios');
  const response = await axios.request({
    url: call.url,
    method: call.method ?? 'get',
    data: call.data,
    headers: call.headers,
    ...(await customAgents(call)),
    proxy: false,
    maxContentLength: call.maxContentLength ?? 1_000_000,
    timeout: 30_000,
  });
  return { status: response.status, body: response.data };
});
