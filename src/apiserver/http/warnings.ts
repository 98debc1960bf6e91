// Warning headers (RFC 7234, code 299) as upstream writes them: quoted and escaped, without duplicates, and cut short when
// they would not fit into a sane response head. What holds control characters, which would end the header, is left out.

const maxTotalCharacters = 4096;
const maxItemCharacters = 256;

/** More than an answer has room for: what comes after them would not be sent. */
const maxWarnings = 500;

/** Notes a warning for the answer, once. Those beyond what an answer can tell are dropped: a body can earn a hundred thousand. */
export function addWarning(warnings: string[], text: string): void {
  if (warnings.length < maxWarnings && !warnings.includes(text)) warnings.push(text);
}

/** The values of the Warning headers for these texts, in order. */
export function warningHeaders(texts: readonly string[]): string[] {
  const distinct = [...new Set(texts)].filter((text) => text !== "" && !/[\0-\x1f\x7f-\x9f]/.test(text));
  const total = distinct.reduce((sum, text) => sum + text.length, 0);
  if (total <= maxTotalCharacters) return distinct.map(warningHeader);
  const headers: string[] = [];
  let written = 0;
  for (const text of distinct) {
    if (written >= maxTotalCharacters) break;
    const cut = [...text].slice(0, maxItemCharacters).join("");
    written += cut.length;
    headers.push(warningHeader(cut));
  }
  return headers;
}

function warningHeader(text: string): string {
  // Text goes out as UTF-8 bytes, one character each as node:http wants.
  const quoted = text.replace(/["\\]/g, "\\$&");
  return `299 - "${asHeaderBytes(quoted)}"`;
}

function asHeaderBytes(text: string): string {
  return /^[\x20-\x7e]*$/.test(text) ? text : Buffer.from(text, "utf8").toString("latin1");
}

/** The texts in the Warning headers of an answer. */
export function parseWarnings(header: string): string[] {
  const texts: string[] = [];
  for (const match of header.matchAll(/299 \S+ "((?:[^"\\]|\\.)*)"/g)) texts.push((match[1] ?? "").replace(/\\(.)/g, "$1"));
  return texts;
}
