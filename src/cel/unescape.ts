// The value of a string or bytes literal: quotes taken off, escapes replaced. In bytes, \x and octal escapes are bytes; in
// strings they are characters.

const named: Readonly<Record<string, string>> = {
  a: "\u0007", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v", "\\": "\\", "'": "'", '"': '"', "`": "`", "?": "?",
}; // biome-ignore format: a table

const escapes = /\\(?:([abfnrtv\\'"`?])|[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2}))/g;

export class UnescapeError extends Error {}

function inside(token: string): { readonly text: string; readonly isRaw: boolean } {
  const isRaw = token[0] === "r" || token[0] === "R";
  const quoted = (isRaw ? token.slice(1) : token).replaceAll("\r\n", "\n").replaceAll("\r", "\n");
  const width = quoted.length >= 6 && (quoted.startsWith("'''") || quoted.startsWith('"""')) ? 3 : 1;
  return { text: quoted.slice(width, -width), isRaw };
}

/** Throws UnescapeError. */
export function unescapeString(token: string): string {
  const { text, isRaw } = inside(token);
  if (isRaw || !text.includes("\\")) return text;
  return text.replace(escapes, (_, name?: string, hex?: string, short?: string, long?: string, octal?: string) => {
    if (name !== undefined) return named[name] ?? name;
    const code = octal === undefined ? Number.parseInt(hex ?? short ?? long ?? "", 16) : Number.parseInt(octal, 8);
    if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) throw new UnescapeError("invalid unicode code point");
    return String.fromCodePoint(code);
  });
}

/** The token without its b. Throws UnescapeError. */
export function unescapeBytes(token: string): Uint8Array {
  const { text, isRaw } = inside(token);
  const encoder = new TextEncoder();
  if (isRaw || !text.includes("\\")) return encoder.encode(text);
  const bytes: number[] = [];
  let from = 0;
  for (const found of text.matchAll(escapes)) {
    bytes.push(...encoder.encode(text.slice(from, found.index)));
    const [whole, name, hex, short, long, octal] = found;
    if (short !== undefined || long !== undefined) throw new UnescapeError("unable to unescape string");
    if (name !== undefined) bytes.push((named[name] ?? name).charCodeAt(0));
    else bytes.push(octal === undefined ? Number.parseInt(hex ?? "", 16) : Number.parseInt(octal, 8));
    from = found.index + whole.length;
  }
  bytes.push(...encoder.encode(text.slice(from)));
  return Uint8Array.from(bytes);
}
