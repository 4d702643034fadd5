// The AWS SDK as the `.bedrock` connector uses it: NodeHttpHandler with the agents, requests signed with SigV4.

import { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand } from '@aws-sdk/client-bedrock-runtime';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { customAgents } from './agents.mjs';

export default async function perform(call, report) {
  const client = new BedrockRuntimeClient({
    region: call.region,
    endpoint: call.url,
    credentials: call.credentials,
    maxAttempts: 1,
    requestHandler: new NodeHttpHandler(await customAgents(call)),
  });
  const input = { modelId: call.model, messages: [{ role: 'user', content: [{ text: call.text }] }] };
  return call.stream ? converseStream(client, input, report) : converse(client, input);
}

async function converse(client, input) {
  const reply = await client.send(new ConverseCommand(input));
  return { status: reply.$metadata.httpStatusCode, text: reply.output.message.content[0].text };
}

async function converseStream(client, input, report) {
  const reply = await client.send(new ConverseStreamCommand(input));
  let text = '';
  for await (const event of reply.stream) {
    const piece = event.contentBlockDelta?.delta?.text;
    if (piece === undefined) continue;
    text += piece;
    report('piece', { piece });
  }
  return { status: reply.$metadata.httpStatusCode, text };
}
