// Who a client is towards the API server, and the material for its TLS connections. Files (a kubelet's rotated
// certificate, a service account's token) are read again as they age, so that a long-lived client never presents an
// outdated one.
import { readFile } from "node:fs/promises";
import type { Clock } from "../base/clock.ts";

export type ClientCredentials =
  | { readonly kind: "none" }
  | { readonly kind: "certificate"; readonly certPem: string; readonly keyPem: string }
  | { readonly kind: "certificateFiles"; readonly certFile: string; readonly keyFile: string }
  /** Asked before each request: whoever keeps the certificate renews it in time. */
  | { readonly kind: "certificateSource"; readonly certificate: () => { readonly certPem: string; readonly keyPem: string } }
  | { readonly kind: "token"; readonly token: string }
  | { readonly kind: "tokenFile"; readonly tokenFile: string }
  /** Asked before each request: it keeps its token and renews it in time. */
  | { readonly kind: "tokenSource"; readonly token: () => Promise<string> }
  | { readonly kind: "basic"; readonly username: string; readonly password: string };

/** What a request presents. */
export interface PresentedCredentials {
  readonly authorization?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** As client-go does: a token file is trusted for so long before it is read again. */
const tokenMaxAgeMs = 60_000;

/** Returns a function that gives the credentials to present now. */
export function presentCredentials(credentials: ClientCredentials, clock: Clock): () => Promise<PresentedCredentials> {
  switch (credentials.kind) {
    case "none":
      return async () => ({});
    case "certificate": {
      const presented = { cert: credentials.certPem, key: credentials.keyPem };
      return async () => presented;
    }
    case "certificateSource":
      return async () => {
        const { certPem, keyPem } = credentials.certificate();
        return { cert: certPem, key: keyPem };
      };
    case "token": {
      const presented = { authorization: `Bearer ${credentials.token}` };
      return async () => presented;
    }
    case "tokenSource":
      return async () => ({ authorization: `Bearer ${await credentials.token()}` });
    case "basic": {
      const text = Buffer.from(`${credentials.username}:${credentials.password}`).toString("base64");
      const presented = { authorization: `Basic ${text}` };
      return async () => presented;
    }
    case "tokenFile":
      return reread(clock, async () => ({ authorization: `Bearer ${await readTrimmed(credentials.tokenFile, "token")}` }));
    case "certificateFiles":
      return reread(clock, async () => {
        const [cert, key] = await Promise.all([
          readTrimmed(credentials.certFile, "client certificate"),
          readTrimmed(credentials.keyFile, "client key"),
        ]);
        return { cert, key };
      });
  }
}

/** Reads at most once a minute; calls made meanwhile share one reading. A failure keeps what was read last. */
function reread(clock: Clock, read: () => Promise<PresentedCredentials>): () => Promise<PresentedCredentials> {
  let current: { readonly atMs: number; readonly value: Promise<PresentedCredentials> } | undefined;
  return () => {
    const previous = current;
    const nowMs = clock.monotonic();
    if (previous && nowMs - previous.atMs < tokenMaxAgeMs) return previous.value;
    const value = read().catch((error: unknown) => {
      if (previous) return previous.value;
      current = undefined;
      throw error;
    });
    current = { atMs: nowMs, value };
    return value;
  };
}

async function readTrimmed(file: string, what: string): Promise<string> {
  let text: string;
  try {
    text = (await readFile(file, "utf8")).trim();
  } catch (cause) {
    throw new Error(`reading the ${what} from ${file}`, { cause });
  }
  if (text === "") throw new Error(`the ${what} file ${file} is empty`);
  return text;
}
