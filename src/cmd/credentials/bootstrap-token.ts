// Bootstrap tokens ("abcdef.0123456789abcdef"): six characters that anybody may know and sixteen that nobody may, kept as
// secrets of kube-system in the form that the API server, the signer and kubeadm know.
import { randomInt } from "node:crypto";
import { bytesOfBase64, encodeBase64 } from "../../api/meta/base64.ts";
import { parseTime } from "../../api/meta/time.ts";
import type { Secret } from "../../api/types/core-v1.ts";
import { formatTime } from "../../base/clock.ts";
import { CommandError } from "../command-error.ts";

export interface BootstrapToken {
  readonly id: string;
  readonly secret: string;
}

export const tokenSecretType = "bootstrap.kubernetes.io/token";
export const defaultTokenGroup = "system:bootstrappers:kubeadm:default-node-token";

/** Throws CommandError. */
export function parseToken(written: string): BootstrapToken {
  const match = /^([a-z0-9]{6})\.([a-z0-9]{16})$/.exec(written);
  const [, id, secret] = match ?? [];
  // The text itself is not shown: it may be all of a token but a letter.
  if (id === undefined || secret === undefined)
    throw new CommandError('the token must look like "abcdef.0123456789abcdef": six, a dot, and sixteen of a-z and 0-9');
  return { id, secret };
}

const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789";
const characters = (count: number): string => Array.from({ length: count }, () => alphabet[randomInt(alphabet.length)]).join("");

export const generateToken = (): BootstrapToken => ({ id: characters(6), secret: characters(16) });

export interface TokenSettings {
  readonly description?: string;
  /** 0: it never expires. */
  readonly ttlMs: number;
  readonly usages: readonly string[];
  readonly groups: readonly string[];
}

export const tokenUsages = ["signing", "authentication"] as const;

export function tokenSecret({ id, secret }: BootstrapToken, settings: TokenSettings, nowMs: number) {
  const { description, ttlMs, usages, groups } = settings;
  const texts: Readonly<Record<string, string>> = {
    "token-id": id,
    "token-secret": secret,
    ...(description ? { description } : {}),
    ...(ttlMs > 0 ? { expiration: formatTime(nowMs + ttlMs) } : {}),
    ...Object.fromEntries(usages.map((usage) => [`usage-bootstrap-${usage}`, "true"])),
    ...(groups.length > 0 ? { "auth-extra-groups": groups.join(",") } : {}),
  };
  const data = Object.fromEntries(Object.entries(texts).map(([key, value]) => [key, encodeBase64(value)]));
  return { metadata: { namespace: "kube-system", name: `bootstrap-token-${id}` }, type: tokenSecretType, data };
}

export interface ListedToken {
  readonly token: string;
  readonly expiresMs: number | undefined;
  readonly usages: readonly string[];
  readonly description: string;
  readonly groups: readonly string[];
}

/** Undefined for a secret that is no usable token. */
export function tokenOf(secret: Secret): ListedToken | undefined {
  const get = (key: string): string => {
    const value = secret.data?.[key];
    return value === undefined ? "" : new TextDecoder().decode(bytesOfBase64(value));
  };
  const [id, own] = [get("token-id"), get("token-secret")];
  if (!id || !own || secret.metadata.name !== `bootstrap-token-${id}`) return undefined;
  return {
    token: `${id}.${own}`,
    expiresMs: parseTime(get("expiration")),
    usages: Object.keys(secret.data ?? {})
      .filter((key) => key.startsWith("usage-bootstrap-") && get(key) === "true")
      .map((key) => key.slice("usage-bootstrap-".length))
      .sort(),
    description: get("description"),
    groups: get("auth-extra-groups")
      .split(",")
      .filter((group) => group !== ""),
  };
}
