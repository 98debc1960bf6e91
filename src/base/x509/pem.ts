// PEM (RFC 7468): DER in base64 between BEGIN and END lines.
import { DerError } from "./der.ts";

export function encodePem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

export interface PemBlock {
  /** "CERTIFICATE" */
  readonly type: string;
  /** What stands between its lines, headers too. */
  readonly body: string;
  /** All of it. */
  readonly text: string;
}

/**
 * The blocks of a text, as Go's decoder finds them: at each END line the last BEGIN line before it counts, and what does not belong
 * together is passed over. Takes time in proportion to the text: an expression that looked for the end of each beginning would not.
 */
export function pemBlocks(text: string): readonly PemBlock[] {
  const blocks: PemBlock[] = [];
  for (let from = 0; ; ) {
    const end = text.indexOf(endLine, from);
    if (end < 0) return blocks;
    const block = blockBefore(text, from, end);
    if (block) blocks.push(block);
    from = end + endLine.length;
  }
}

const beginLine = "-----BEGIN ";
const endLine = "\n-----END ";

function blockBefore(text: string, from: number, end: number): PemBlock | undefined {
  // The line's own break may be the one after its type, where nothing stands between the lines.
  const before = text.slice(from, end + 1);
  const begin = before.lastIndexOf(beginLine);
  if (begin < 0 || (from + begin > 0 && text[from + begin - 1] !== "\n")) return undefined;
  const afterLine = before.indexOf("\n", begin);
  const line = before.slice(begin + beginLine.length, afterLine).trimEnd();
  if (!line.endsWith("-----") || !text.startsWith(line, end + endLine.length)) return undefined;
  const stop = end + endLine.length + line.length;
  if (restOfLine(text, stop).trim() !== "") return undefined;
  return { type: line.slice(0, -5), body: before.slice(afterLine + 1, -1), text: text.slice(from + begin, stop) };
}

function restOfLine(text: string, at: number): string {
  const end = text.indexOf("\n", at);
  return text.slice(at, end < 0 ? undefined : end);
}

/** The DER of the first block with this label; text around the blocks is passed over. Throws DerError where there is none. */
export function decodePem(label: string, pem: string): Uint8Array {
  const start = pem.indexOf(`-----BEGIN ${label}-----`);
  const end = pem.indexOf(`-----END ${label}-----`, start);
  if (start < 0 || end < 0) throw new DerError(`no PEM block of type ${label}`);
  const body = pem.slice(start, end);
  // Headers ("Proc-Type: …") stand before an empty line.
  const base64 = body.slice(body.includes("\n\n") ? body.indexOf("\n\n") : body.indexOf("\n"));
  return Buffer.from(base64, "base64");
}
