// PEM (RFC 7468): DER in base64 between BEGIN and END lines.
import { DerError } from "./der.ts";

export function encodePem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
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
