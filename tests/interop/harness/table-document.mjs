// The table as a Markdown document, from what a run has shown.

const HEAD = `# Connectors that were tested

Made by \`tests/interop/connectors.test.mjs\` from a run in which real clients made each of these calls through Tollgate, to
services under their real names on one machine; the test fails when this file says something else. How:
[tests/interop](../tests/interop/README.md). All connector types and how they are told: [connectors.md](connectors.md).

- **delivered**: the service received the bytes the client wrote, signatures verify, the client received the answer.
- **streamed**: the client had the first event before the service sent the second; \`-\` where nothing streams.
- **named**: \`connector_type\` is this type; in brackets \`connector_source\`.
- **complete**: method, host, status, bytes both ways, deployment, outcome and the other columns have their exact values.
- **secrets absent**: none of the secrets in its path, query, header fields, body and answer is in any file of the data
  directory, log line at \`trace\`, metric or output of \`tollgate records\`; as it is, URL-encoded, in Base64 or in hexadecimal.

| connector | call | client | delivered | streamed | named | complete | secrets absent | notes |
|---|---|---|---|---|---|---|---|---|
`;

const CLIENTS = {
  axios: 'axios',
  bedrock: 'AWS SDK',
  'go-http2': 'HTTP/2, as Go',
  mcp: 'MCP SDK, undici',
  nodemailer: 'nodemailer',
  openai: 'OpenAI SDK',
  slack: '@slack/webhook',
};

/**
 * @param {object[]} entries with what was shown about each
 * @param {Record<string, string>} silent connector types without calls, and why
 */
export function document(entries, silent) {
  const rows = entries.map((entry) => {
    const { connector, what, client, source, streams, shown, note } = entry;
    const yes = (column) => (shown.has(column) ? 'yes' : 'no');
    const cells = [
      `\`${connector}\``,
      what,
      CLIENTS[client],
      yes('delivered'),
      streams ? yes('streamed') : '-',
      `${yes('named')} (${source})`,
      yes('complete'),
      yes('absent'),
      note,
    ];
    return `| ${cells.join(' | ')} |`;
  });
  const without = Object.entries(silent).map(
    ([connector, why]) => `| \`${connector}\` | - | - | - | - | - | - | - | ${why} |`,
  );
  return `${HEAD}${[...rows, ...without].join('\n')}\n`;
}
