// nodemailer as the `.email` connector uses it: its own CONNECT client, named by `proxy`.

import nodemailer from 'nodemailer';

export default async function perform(call) {
  const transport = nodemailer.createTransport({
    host: call.host,
    port: call.port,
    secure: call.implicit,
    requireTLS: !call.implicit,
    auth: call.auth,
    proxy: call.proxyUrl,
  });
  const sent = await transport.sendMail({
    from: 'kibana@example.com',
    to: 'oncall@example.com',
    subject: call.subject,
    text: call.text,
  });
  return { accepted: sent.accepted };
}
