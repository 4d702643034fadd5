// @slack/webhook as the `.slack` connector uses it: one agent for whatever the scheme of the webhook is.

import { IncomingWebhook } from '@slack/webhook';
import { customAgents } from './agents.mjs';

export default async function perform(call) {
  const { httpAgent, httpsAgent } = await customAgents(call);
  const agent = call.url.startsWith('https:') ? httpsAgent : httpAgent;
  const sent = await new IncomingWebhook(call.url, { agent }).send({ text: call.text });
  return { body: sent.text };
}
