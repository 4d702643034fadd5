// Certificate authorities and server certificates for the origins, made in memory.
// Not done here: the interception CA, which the gate makes for itself.

import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import forge from 'node-forge';

const DAY_MS = 86_400_000;

/**
 * Makes a certificate authority that lives as long as the test.
 * @param {string} directory where PEM files are written for those who need a path
 * @param {string} name common name, also the stem of the file names
 */
export function makeAuthority(directory, name) {
  const keys = forge.pki.rsa.generateKeyPair(2048);
  const certificate = unsigned(keys.publicKey, name);
  certificate.setIssuer(certificate.subject.attributes);
  certificate.setExtensions([
    { name: 'basicConstraints', cA: true, critical: true },
    { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    { name: 'subjectKeyIdentifier' },
  ]);
  certificate.sign(keys.privateKey, forge.md.sha256.create());
  const certFile = join(directory, `${name}.pem`);
  writeFileSync(certFile, forge.pki.certificateToPem(certificate));
  const signer = { certificate, key: keys.privateKey };
  return {
    cert: forge.pki.certificateToPem(certificate),
    certFile,
    issue: (hosts) => issue(directory, signer, hosts, { serverAuth: true }),
    issueClient: (name) => issue(directory, signer, [name], { clientAuth: true }),
  };
}

/** A certificate for DNS names (wildcards too) and IP addresses, as PEM and as files. */
function issue(directory, signer, hosts, usage) {
  const keys = forge.pki.rsa.generateKeyPair(2048);
  const certificate = unsigned(keys.publicKey, 'leaf');
  certificate.setIssuer(signer.certificate.subject.attributes);
  certificate.setExtensions([
    { name: 'basicConstraints', cA: false, critical: true },
    { name: 'keyUsage', digitalSignature: true, keyEncipherment: true, critical: true },
    { name: 'extKeyUsage', ...usage },
    {
      name: 'subjectAltName',
      altNames: hosts.map((host) => (isIP(host) ? { type: 7, ip: host } : { type: 2, value: host })),
    },
  ]);
  certificate.sign(signer.key, forge.md.sha256.create());
  const cert = forge.pki.certificateToPem(certificate);
  const key = forge.pki.privateKeyToPem(keys.privateKey);
  const stem = join(directory, `leaf-${certificate.serialNumber}`);
  const files = { certFile: `${stem}.pem`, keyFile: `${stem}.key` };
  writeFileSync(files.certFile, cert);
  writeFileSync(files.keyFile, key, { mode: 0o600 });
  return { cert, key, ...files };
}

function unsigned(publicKey, commonName) {
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = publicKey;
  // A leading 0 keeps the DER integer positive.
  certificate.serialNumber = `0${randomBytes(15).toString('hex').slice(1)}`;
  certificate.validity.notBefore = new Date(Date.now() - DAY_MS);
  certificate.validity.notAfter = new Date(Date.now() + 30 * DAY_MS);
  certificate.setSubject([{ name: 'commonName', value: commonName }]);
  return certificate;
}
