// Go's %q, in which upstream writes what comes from outside into its messages: control characters cannot lead astray there.

/** Without anything to escape: nearly every text. */
const isPlain = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

/** A text in quotes as Go's %q writes it. */
export function goQuoted(text: string): string {
  if (isPlain.test(text)) return `"${text}"`;
  const escapes: Readonly<Record<string, string>> = {
    "\u0007": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
  };
  const quoted = text.replace(/["\\]/g, "\\$&").replace(/[^\x20-\x7e]/gu, (char) => {
    const code = char.codePointAt(0) ?? 0;
    const known = escapes[char];
    if (known !== undefined) return known;
    if (code < 0x80) return `\\x${code.toString(16).padStart(2, "0")}`;
    if (/[\p{L}\p{M}\p{N}\p{P}\p{S}]/u.test(char)) return char;
    return code > 0xffff ? `\\U${code.toString(16).padStart(8, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
  return `"${quoted}"`;
}
