// The agents Kibana gives its HTTP clients, built as `getCustomAgents()` of its Actions plugin builds them: the plain
// agent from the URL string alone, the TLS agent from its parts, both generations of the packages.

const GENERATIONS = {
  // What Kibana 7.11 to 9.x ships: http-proxy-agent 5.0.0, https-proxy-agent 5.0.1.
  old: async ({ proxyUrl, proxyHeaders }) => {
    const { HttpProxyAgent } = (await import('http-proxy-agent-old')).default;
    const { HttpsProxyAgent } = (await import('https-proxy-agent-old')).default;
    const { hostname, port, protocol, username, password } = new URL(proxyUrl);
    const auth = username ? { auth: `${decodeURIComponent(username)}:${decodeURIComponent(password)}` } : {};
    return {
      httpAgent: new HttpProxyAgent(proxyUrl),
      httpsAgent: new HttpsProxyAgent({ host: hostname, port: Number(port), protocol, headers: proxyHeaders, ...auth }),
    };
  },
  // The newest release of both. `tls` reaches the handshake with the target, which it does not in the old one.
  new: async ({ proxyUrl, proxyHeaders, tls }) => {
    const { HttpProxyAgent } = await import('http-proxy-agent');
    const { HttpsProxyAgent } = await import('https-proxy-agent');
    const httpsAgent = new HttpsProxyAgent(proxyUrl, { headers: proxyHeaders });
    Object.assign(httpsAgent.options, tls);
    return { httpAgent: new HttpProxyAgent(proxyUrl), httpsAgent };
  },
};

/**
 * @param {object} call
 * @param {string} [call.proxyUrl] `xpack.actions.proxyUrl`; absent: no agents, a direct call
 * @param {Record<string, string>} [call.proxyHeaders] `xpack.actions.proxyHeaders`
 * @param {'old' | 'new'} [call.agents]
 * @param {{cert: string, key: string}} [call.tls] client certificate
 */
export async function customAgents({ proxyUrl, proxyHeaders = {}, agents = 'old', tls }) {
  return proxyUrl ? GENERATIONS[agents]({ proxyUrl, proxyHeaders, tls }) : {};
}
