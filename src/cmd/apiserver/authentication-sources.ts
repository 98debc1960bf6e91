// What authentication reads from the files of its flags: static tokens, service-account keys, issuers of JSON Web Tokens (which
// may change while the server runs), a webhook. What most servers do not use is loaded by those that do.

import type { KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { AuthenticationSettings, TokenWebhookSettings } from "../../apiserver/authentication-options.ts";
import type { AnonymousOptions } from "../../apiserver/authn/authentication-stage.ts";
import type { TokenAuthenticator } from "../../apiserver/authn/authenticator.ts";
import type { ExternalSigner } from "../../apiserver/authn/external-signer/external-signer.ts";
import { readPublicKeys, readSigningKey } from "../../apiserver/authn/service-account-keys.ts";
import { createTokenCacheMetrics, type TokenCacheMetrics } from "../../apiserver/authn/token-cache-metrics.ts";
import { createTokenFileAuthenticator } from "../../apiserver/authn/token-file.ts";
import type { EgressSelector } from "../../apiserver/egress/egress-selector.ts";
import type { ApiServerSettings } from "../../apiserver/options.ts";
import type { Clock } from "../../base/clock.ts";
import { formatDuration } from "../../base/duration.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import { CommandError } from "../command-error.ts";

export interface AuthenticationSources extends Running {
  readonly tokens: TokenAuthenticator | undefined;
  /** Whose service-account tokens are accepted, besides those of the signing key. */
  readonly serviceAccountKeys: readonly KeyObject[];
  readonly signingKey: KeyObject | undefined;
  /** Who has the signing key instead. */
  readonly signer: ExternalSigner | undefined;
  readonly jwt: TokenAuthenticator | undefined;
  readonly webhook: TokenAuthenticator | undefined;
  readonly anonymous: AnonymousOptions;
}

export interface SourcesDeps {
  /** How webhooks are reached, where not directly. */
  readonly egress?: EgressSelector;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  /** Shared by all that remember tokens. */
  readonly tokenCache?: TokenCacheMetrics;
}

/** Reads the files of the flags, before anything else is started. Throws CommandError. */
export async function openAuthenticationSources(settings: ApiServerSettings, given: SourcesDeps): Promise<AuthenticationSources> {
  const deps = { ...given, tokenCache: createTokenCacheMetrics(given.metrics, given.clock) };
  const stack = new StopStack();
  try {
    return { ...(await readSources(settings, stack, deps)), stop: () => stack.stop() };
  } catch (error) {
    await stack.stop();
    throw error;
  }
}

async function readSources(settings: ApiServerSettings, stack: StopStack, deps: SourcesDeps): Promise<Omit<AuthenticationSources, "stop">> {
  const { tokenAuthFile, serviceAccounts, webhook } = settings.authentication;
  const { keyFiles, signingKeyFile } = serviceAccounts;
  const [tokens, signingKey, ...serviceAccountKeys] = await Promise.all([
    readFor("token-auth-file", tokenAuthFile, createTokenFileAuthenticator),
    readFor("service-account-signing-key-file", signingKeyFile, readSigningKey),
    ...keyFiles.map((path) => readFor("service-account-key-file", path, readPublicKeys)),
  ]);
  const signer = await openSigner(settings, stack, deps);
  warnOfShortLives(settings, signer, deps.logger);
  const audiences = apiAudiences(settings.authentication);
  const webhookTokens = webhook && (await openWebhook(webhook, audiences, stack, deps));
  const { jwt, anonymous } = await openJwt(settings, audiences, stack, deps);
  return {
    tokens,
    signingKey,
    signer,
    serviceAccountKeys: serviceAccountKeys.flatMap((keys) => keys ?? []),
    jwt,
    webhook: webhookTokens,
    anonymous: withoutAlwaysAllow(anonymous, settings, deps.logger),
  };
}

async function openSigner(
  { authentication: { serviceAccounts }, requestTimeoutMs }: ApiServerSettings,
  stack: StopStack,
  deps: SourcesDeps,
): Promise<ExternalSigner | undefined> {
  const { signingEndpoint: endpoint, maxTokenExpirationMs } = serviceAccounts;
  if (endpoint === undefined) return undefined;
  const { openExternalSigner } = await import("../../apiserver/authn/external-signer/external-signer.ts");
  const path = endpoint.startsWith("@") ? endpoint : resolve(endpoint);
  const signer = await forFlag("service-account-signing-endpoint", () =>
    openExternalSigner(deps, { endpoint: path, timeoutMs: requestTimeoutMs }),
  );
  stack.add(signer);
  const longestMs = signer.maxExpirationSeconds * 1000;
  if (maxTokenExpirationMs > longestMs)
    throw new CommandError(
      `--service-account-max-token-expiration: expected at most what --service-account-signing-endpoint supports, ${formatDuration(longestMs)}`,
    );
  return signer;
}

/** Tokens of pods that ask for this time are to live for a year, so that nobody who does not renew them yet is cut off. */
const [extendedFrom, extendedTo] = [3607, 365 * 86_400];

/** As upstream: what the limit of tokens' lives leaves of that. */
function warnOfShortLives(settings: ApiServerSettings, signer: ExternalSigner | undefined, logger: Logger): void {
  const { maxTokenExpirationMs, extendTokenExpiration } = settings.authentication.serviceAccounts;
  const maxSeconds = maxTokenExpirationMs / 1000 || (signer?.maxExpirationSeconds ?? 0);
  if (!extendTokenExpiration || maxSeconds === 0) return;
  const longest = formatDuration(maxSeconds * 1000);
  const whose = signer ? "token lifetime supported by external-jwt-signer must be" : "service-account-max-token-expiration must be set";
  const extends_ = "service-account-extend-token-expiration is true";
  if (maxSeconds < extendedFrom)
    logger.warn(
      `${extends_}, in order to correctly trigger safe transition logic, ${whose} longer than ${extendedFrom} seconds (currently ${longest})`,
    );
  if (maxSeconds >= extendedTo) return;
  logger.warn(
    signer
      ? `${extends_}, tokens validity will be caped at the smaller of ${extendedTo} seconds and maximum token lifetime supported by external-jwt-signer (${longest})`
      : `${extends_}, enabling tokens valid up to ${extendedTo} seconds, which is longer than service-account-max-token-expiration set to ${longest}`,
  );
}

export const apiAudiences = ({ apiAudiences: given, serviceAccounts }: AuthenticationSettings): readonly string[] =>
  given.length > 0 ? given : serviceAccounts.issuers;

/** Who is nobody must not be allowed everything. */
function withoutAlwaysAllow(anonymous: AnonymousOptions, { authorization }: ApiServerSettings, logger: Logger): AnonymousOptions {
  if (!anonymous.enabled || !authorization.modes.includes("AlwaysAllow")) return anonymous;
  logger.warn(
    "AnonymousAuth is not allowed with the AlwaysAllow authorizer. Resetting AnonymousAuth to false. You should use a different authorizer",
  );
  return { enabled: false, paths: [] };
}

/** What a flag's file says; undefined without the flag. Throws CommandError. */
async function readFor<T>(flag: string, path: string | undefined, read: (text: string, path: string) => T): Promise<T | undefined> {
  return path === undefined ? undefined : forFlag(flag, async () => read(await readFile(path, "utf8"), path));
}

async function forFlag<T>(flag: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new CommandError(`--${flag}: ${errorText(error)}`);
  }
}

async function openWebhook(
  { configFile, version, cacheTtlMs }: TokenWebhookSettings,
  audiences: readonly string[],
  stack: StopStack,
  { clock, logger, tokenCache, egress = {} }: SourcesDeps,
): Promise<TokenAuthenticator> {
  const { kubeconfigTarget } = await import("../../apiserver/webhook/kubeconfig-target.ts");
  const { createWebhookClient } = await import("../../apiserver/webhook/create-webhook-client.ts");
  const { createWebhookTokens } = await import("../../apiserver/authn/webhook-tokens.ts");
  const { cachedTokens } = await import("../../apiserver/authn/cached-tokens.ts");
  const target = await forFlag("authentication-token-webhook-config-file", () => kubeconfigTarget(configFile, clock));
  const client = stack.add(createWebhookClient({ clock }, { egress }));
  const tokens = createWebhookTokens({ client, target, clock, logger }, { version, audiences });
  return cachedTokens(tokens, { clock, tokenCache }, { successTtlMs: cacheTtlMs, failureTtlMs: cacheTtlMs });
}

interface JwtSource {
  readonly jwt: TokenAuthenticator | undefined;
  readonly anonymous: AnonymousOptions;
}

/** Tokens of issuers, by the flags or by the configuration file. */
async function openJwt(
  { authentication }: ApiServerSettings,
  audiences: readonly string[],
  stack: StopStack,
  deps: SourcesDeps,
): Promise<JwtSource> {
  const { configFile, oidc, anonymous: anonymousFlag, serviceAccounts } = authentication;
  const byFlag = { enabled: anonymousFlag ?? true, paths: [] };
  if (configFile === undefined && !oidc) return { jwt: undefined, anonymous: byFlag };
  const { JwtTokens } = await import("./jwt-tokens.ts");
  const options = { audiences, disallowedIssuers: serviceAccounts.issuers };
  if (configFile === undefined) {
    const caPem = await readFor("oidc-ca-file", oidc?.caFile, (text) => text);
    const jwt = await forFlag("oidc-issuer-url and other --oidc-* flags", async () =>
      oidc ? JwtTokens.byFlags({ settings: oidc, caPem }, deps, options) : undefined,
    );
    return { jwt: jwt && stack.add(jwt), anonymous: byFlag };
  }
  const jwt = stack.add(await forFlag("authentication-config", () => JwtTokens.byFile(configFile, deps, options)));
  if (jwt.anonymous && anonymousFlag !== undefined)
    throw new CommandError(
      "--authentication-config: anonymous: Forbidden: --anonymous-auth flag cannot be set when anonymous field is configured in authentication configuration file",
    );
  return { jwt, anonymous: jwt.anonymous ?? byFlag };
}
