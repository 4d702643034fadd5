// Secrets that are unique strings, and the search for them, in every form in which one could be written down.

import { randomBytes } from 'node:crypto';

/** Enough of a form to know it by; every form is longer. */
const STEM_BYTES = 12;

/** A string that occurs nowhere else: 24 characters that need no escape in a URL, in JSON and in a header. */
export const makeSecret = () => randomBytes(18).toString('base64url');

/**
 * How a secret may be spelled: as it is, percent-encoded, in Base64 wherever it begins in what is encoded, in hexadecimal.
 * @param {string} secret
 * @returns {Set<string>} each form as Latin-1 text
 */
export function formsOf(secret) {
  const bytes = Buffer.from(secret);
  const hex = bytes.toString('hex');
  const encoded = encodeURIComponent(secret);
  const everyByte = hex.replace(/../g, '%$&');
  const percent = [encoded, encoded.replace(/%../g, (sign) => sign.toLowerCase()), everyByte, everyByte.toUpperCase()];
  const base64 = [0, 1, 2].flatMap((offset) => base64At(bytes, offset));
  return new Set([bytes.toString('latin1'), ...percent, ...base64, hex, hex.toUpperCase()]);
}

/** The characters of Base64 that depend on nothing but the secret when it begins `offset` bytes into a group of three. */
function base64At(bytes, offset) {
  const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64');
  const first = Math.ceil((offset * 8) / 6);
  const past = Math.floor(((offset + bytes.length) * 8) / 6);
  const sure = text.slice(first, past);
  return [sure, sure.replaceAll('+', '-').replaceAll('/', '_')];
}

/**
 * Prepares the search for all forms of all secrets at once.
 * @param {string[]} secrets
 * @returns {(bytes: Buffer) => Set<string>} the secrets that occur in these bytes
 */
export function makeSearch(secrets) {
  const byStem = new Map();
  const starts = new Set();
  for (const secret of secrets) {
    for (const form of formsOf(secret)) {
      const stem = form.slice(0, STEM_BYTES);
      byStem.set(stem, [...(byStem.get(stem) ?? []), { form, secret }]);
      starts.add((form.charCodeAt(0) << 16) | (form.charCodeAt(1) << 8) | form.charCodeAt(2));
    }
  }
  return (bytes) => {
    const text = bytes.toString('latin1');
    const found = new Set();
    for (let at = 0; at + STEM_BYTES <= bytes.length; at++) {
      if (!starts.has((bytes[at] << 16) | (bytes[at + 1] << 8) | bytes[at + 2])) continue;
      for (const { form, secret } of byStem.get(text.slice(at, at + STEM_BYTES)) ?? []) {
        if (text.startsWith(form, at)) found.add(secret);
      }
    }
    return found;
  };
}
