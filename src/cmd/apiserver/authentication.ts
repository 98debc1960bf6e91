// Wires authentication: which ways of saying who asks are believed, in upstream's order (front proxy, client certificate,
// bearer tokens: static, of service accounts, bootstrap, of issuers, of a webhook).
import type { AdmissionReader } from "../../apiserver/admission/admission.ts";
import type { Authenticator, TokenAuthenticator } from "../../apiserver/authn/authenticator.ts";
import { createBearerTokenAuthenticator, forAudiences, unionTokenAuthenticator } from "../../apiserver/authn/bearer-token.ts";
import { createBootstrapTokenAuthenticator } from "../../apiserver/authn/bootstrap-token.ts";
import { createBoundObjects } from "../../apiserver/authn/bound-objects.ts";
import { createClientCertificateAuthenticator } from "../../apiserver/authn/client-certificate.ts";
import { createRequestHeaderAuthenticator, type RequestHeaderOptions } from "../../apiserver/authn/request-header.ts";
import { createLegacyTokens, createSecretTokenUse } from "../../apiserver/authn/secret-tokens.ts";
import { ServiceAccountKeys } from "../../apiserver/authn/service-account-keys.ts";
import { createServiceAccountMetrics } from "../../apiserver/authn/service-account-metrics.ts";
import { createServiceAccountTokens, type ServiceAccountTokens } from "../../apiserver/authn/service-account-tokens.ts";
import type { TokenRequestDependencies } from "../../apiserver/authn/token-request.ts";
import type { ApiServerSettings } from "../../apiserver/options.ts";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/log.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { Client } from "../../client/client.ts";
import type { Pki } from "../credentials/pki.ts";
import { type AuthenticationSources, apiAudiences } from "./authentication-sources.ts";

export interface AuthenticationDeps {
  readonly reader: AdmissionReader;
  /** The server's own. */
  readonly client: Client;
  readonly clock: Clock;
  readonly pki: Pki;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  readonly requestHeader: RequestHeaderOptions;
}

export interface Authentication {
  readonly authenticators: readonly Authenticator[];
  /** All kinds of bearer tokens. */
  readonly anyToken: TokenAuthenticator;
  readonly serviceAccountTokens: ServiceAccountTokens;
}

const [hour, day] = [3600, 86_400];
/** From nothing to a year. */
const expiryBuckets = [0, hour / 2, ...[1, 2, 6, 12].map((n) => n * hour), ...[1, 2, 4, 7, 30, 90, 180, 360].map((n) => n * day)];

export function createAuthentication(
  { authentication }: ApiServerSettings,
  sources: AuthenticationSources,
  deps: AuthenticationDeps,
): Authentication {
  const { reader, client, clock, pki, logger, requestHeader } = deps;
  const { serviceAccounts } = authentication;
  const signingKey = sources.signingKey ?? pki.serviceAccountKey.privateKey;
  // Keys of flags take the place of the cluster's own, but what is being signed can always be verified.
  const keys = sources.signer?.keys ?? new ServiceAccountKeys([signingKey, ...sources.serviceAccountKeys]);
  const audiences = apiAudiences(authentication);
  const metrics = createServiceAccountMetrics(deps.metrics);
  const secretUse = createSecretTokenUse({ client, clock, logger, metrics });
  const serviceAccountTokens = createServiceAccountTokens({
    signingKey: sources.signer?.sign ?? signingKey,
    keys,
    issuers: serviceAccounts.issuers,
    audiences,
    reader,
    client,
    secretUse,
    metrics,
    clock,
  });
  const legacy = createLegacyTokens({
    keys,
    audiences,
    objects: createBoundObjects(reader, client),
    use: secretUse,
    metrics,
    lookup: serviceAccounts.lookup,
  });
  const anyToken = unionTokenAuthenticator([
    ...(sources.tokens ? [forAudiences(audiences, sources.tokens)] : []),
    legacy,
    serviceAccountTokens,
    ...(authentication.bootstrapTokens ? [forAudiences(audiences, createBootstrapTokenAuthenticator({ reader, clock }))] : []),
    ...(sources.jwt ? [sources.jwt] : []),
    ...(sources.webhook ? [sources.webhook] : []),
  ]);
  const expiry = deps.metrics
    .histogram(
      "apiserver_client_certificate_expiration_seconds",
      "[ALPHA] Distribution of the remaining lifetime on the certificate used to authenticate a request.",
      { buckets: expiryBuckets },
    )
    .series();
  const authenticators = [
    createRequestHeaderAuthenticator(requestHeader, { clock }),
    createClientCertificateAuthenticator({ clock, observeExpiry: (seconds) => expiry.observe(seconds) }),
    createBearerTokenAuthenticator(anyToken),
  ];
  return { authenticators, anyToken, serviceAccountTokens };
}

/** How long service-account tokens may live: as the flags say, and no longer than an external signer lets them. */
export function tokenLimits(
  { authentication: { serviceAccounts } }: ApiServerSettings,
  { signer }: Pick<AuthenticationSources, "signer">,
): Pick<TokenRequestDependencies, "maxExpirationSeconds" | "extendExpiration" | "maxExtendedSeconds"> {
  const { maxTokenExpirationMs, extendTokenExpiration } = serviceAccounts;
  return {
    maxExpirationSeconds: maxTokenExpirationMs / 1000 || (signer?.maxExpirationSeconds ?? 0),
    extendExpiration: extendTokenExpiration,
    ...(signer ? { maxExtendedSeconds: signer.maxExpirationSeconds } : {}),
  };
}
