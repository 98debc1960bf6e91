// The hash that names what was made from a template: ReplicaSets of a Deployment, ControllerRevisions. FNV-1a of 32 bits
// over the template in canonical JSON (keys sorted, absent and null fields alike), written with the letters that form no
// words. The number differs from upstream's, which hashes a dump of Go structures; all that counts is that it is stable.

/** The hash of a template; `collisionCount` gives another one where a name is taken by something different. */
export function templateHash(template: unknown, collisionCount?: number): string {
  let hash = fnv1a(canonicalJson(template));
  if (collisionCount !== undefined) hash = fnv1a(String(collisionCount), hash);
  return safeEncode(String(hash));
}

const offsetBasis = 0x811c9dc5;
const prime = 0x01000193;

function fnv1a(text: string, seed = offsetBasis): number {
  let hash = seed;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, prime);
  return hash >>> 0;
}

/** JSON with sorted keys and without null fields, so that equal values give equal texts. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const fields = Object.entries(value).filter(([, field]) => field !== undefined && field !== null);
  fields.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${canonicalJson(field)}`).join(",")}}`;
}

const alphabet = "bcdfghjklmnpqrstvwxz2456789";

/** Upstream's encoding of digits for names: no vowels, so no words by chance. */
function safeEncode(text: string): string {
  let encoded = "";
  for (let i = 0; i < text.length; i++) encoded += alphabet[text.charCodeAt(i) % alphabet.length];
  return encoded;
}
