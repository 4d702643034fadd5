// The OpenAI SDK as the `.gen-ai` connector streams with it. Reports each event as it arrives.

import OpenAI from 'openai';
import { customAgents } from './agents.mjs';

export default async function perform(call, report) {
  const { httpsAgent } = await customAgents(call);
  const client = new OpenAI({
    apiKey: call.apiKey ?? 'sk-interop',
    organization: call.organization,
    project: call.project,
    baseURL: call.url,
    defaultQuery: call.query,
    defaultHeaders: call.headers,
    httpAgent: httpsAgent,
    maxRetries: call.retries,
  });
  const stream = await client.chat.completions.create({
    model: 'gpt-4o',
    stream: true,
    messages: [{ role: 'user', content: call.text }],
  });
  let text = '';
  for await (const part of stream) {
    const piece = part.choices[0]?.delta?.content ?? '';
    text += piece;
    report('piece', { piece });
  }
  return { text };
}
