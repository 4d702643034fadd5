// undici's fetch over its ProxyAgent, as the `.mcp` connector uses it: CONNECT for http targets too.

export default async function perform(call) {
  const { Agent, ProxyAgent, fetch } = await import(call.undici === 'old' ? 'undici-old' : 'undici');
  const dispatcher = call.proxyUrl ? new ProxyAgent({ uri: call.proxyUrl, headers: call.proxyHeaders }) : new Agent();
  const response = await fetch(call.url, {
    method: call.method ?? 'GET',
    body: call.data === undefined ? undefined : JSON.stringify(call.data),
    headers: call.headers,
    dispatcher,
    signal: AbortSignal.timeout(30_000),
  });
  const body = await response.json();
  await dispatcher.close();
  return { status: response.status, body };
}
