// OpenID Connect discovery of the service-account issuer, so that others can check the tokens: the issuer's metadata and
// its public keys. Served to whoever authorization lets in (all service accounts by default).
import type { Handler } from "../request.ts";
import type { ServiceAccountTokens } from "./service-account-tokens.ts";

export interface OpenIdOptions {
  readonly tokens: Pick<ServiceAccountTokens, "issuer" | "keySet" | "keysMaxAgeSeconds">;
  /** Where the keys are fetched: "https://<address>/openid/v1/jwks". */
  readonly keysUri: () => string;
}

/** Handlers by path; none where the issuer is no URL that discovery can start from. */
export function openIdHandlers({ tokens, keysUri }: OpenIdOptions): Readonly<Record<string, Handler>> {
  if (!isDiscoverable(tokens.issuer)) return {};
  const maxAge = (): number => tokens.keysMaxAgeSeconds;
  const configuration = (): object => ({
    issuer: tokens.issuer,
    jwks_uri: keysUri(),
    response_types_supported: ["id_token"],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: [...new Set(tokens.keySet().keys.map((k) => String(k.alg)))].sort(),
  });
  return {
    "/.well-known/openid-configuration": answer(configuration, "application/json", maxAge),
    "/openid/v1/jwks": answer(() => tokens.keySet(), "application/jwk-set+json", maxAge),
  };
}

function answer(value: () => unknown, contentType: string, maxAgeSeconds: () => number): Handler {
  return async () => ({
    kind: "bytes",
    status: 200,
    contentType,
    bytes: Buffer.from(JSON.stringify(value())),
    headers: { "cache-control": `public, max-age=${maxAgeSeconds()}` },
  });
}

function isDiscoverable(issuer: string): boolean {
  const url = URL.canParse(issuer) ? new URL(issuer) : undefined;
  return url?.protocol === "https:" && url.search === "" && url.hash === "";
}
