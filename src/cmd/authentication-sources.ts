// What authentication reads from the files of its flags: static tokens, service-account keys, issuers of JSON Web Tokens (which
// may change while the server runs), a webhook. What most servers do not use is loaded by those that do.
import type { KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { AuthenticationSettings, TokenWebhookSettings } from "../apiserver/authentication-options.ts";
import type { AuthenticationConfig } from "../apiserver/authn/authentication-config.ts";
import type { AnonymousOptions } from "../apiserver/authn/authentication-stage.ts";
import type { TokenAuthenticator } from "../apiserver/authn/authenticator.ts";
import { readPublicKeys, readSigningKey } from "../apiserver/authn/service-account-keys.ts";
import { createTokenFileAuthenticator } from "../apiserver/authn/token-file.ts";
import { noExpressions } from "../apiserver/configuration/expressions.ts";
import type { ApiServerSettings } from "../apiserver/options.ts";
import type { Clock } from "../base/clock.ts";
import { followFiles } from "../base/followed-files.ts";
import { type Running, StopStack } from "../base/lifecycle.ts";
import { errorText, type Logger } from "../base/log.ts";
import type { MetricsRegistry } from "../base/metrics.ts";
import { CommandError } from "./command-error.ts";

export interface AuthenticationSources extends Running {
  readonly tokens: TokenAuthenticator | undefined;
  /** Whose service-account tokens are accepted, besides those of the signing key. */
  readonly serviceAccountKeys: readonly KeyObject[];
  readonly signingKey: KeyObject | undefined;
  readonly jwt: TokenAuthenticator | undefined;
  readonly webhook: TokenAuthenticator | undefined;
  readonly anonymous: AnonymousOptions;
}

export interface SourcesDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
}

/** Reads the files of the flags, before anything else is started. Throws CommandError. */
export async function openAuthenticationSources(settings: ApiServerSettings, deps: SourcesDeps): Promise<AuthenticationSources> {
  const { tokenAuthFile, serviceAccounts, webhook } = settings.authentication;
  const { keyFiles, signingKeyFile } = serviceAccounts;
  const [tokens, signingKey, ...serviceAccountKeys] = await Promise.all([
    readFor("token-auth-file", tokenAuthFile, createTokenFileAuthenticator),
    readFor("service-account-signing-key-file", signingKeyFile, readSigningKey),
    ...keyFiles.map((path) => readFor("service-account-key-file", path, readPublicKeys)),
  ]);
  const stack = new StopStack();
  const audiences = apiAudiences(settings.authentication);
  const webhookTokens = webhook && (await openWebhook(webhook, audiences, stack, deps));
  const { jwt, anonymous } = await openJwt(settings, audiences, stack, deps);
  return {
    tokens,
    signingKey,
    serviceAccountKeys: serviceAccountKeys.flatMap((keys) => keys ?? []),
    jwt,
    webhook: webhookTokens,
    anonymous: withoutAlwaysAllow(anonymous, settings, deps.logger),
    stop: () => stack.stop(),
  };
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
  { clock, logger }: SourcesDeps,
): Promise<TokenAuthenticator> {
  const { kubeconfigTarget } = await import("../apiserver/webhook/kubeconfig-target.ts");
  const { createWebhookClient } = await import("../apiserver/webhook/create-webhook-client.ts");
  const { createWebhookTokens } = await import("../apiserver/authn/webhook-tokens.ts");
  const { cachedTokens } = await import("../apiserver/authn/cached-tokens.ts");
  const target = await forFlag("authentication-token-webhook-config-file", () => kubeconfigTarget(configFile, clock));
  const client = stack.add(createWebhookClient({ clock }));
  const tokens = createWebhookTokens({ client, target, clock, logger }, { version, audiences });
  return cachedTokens(tokens, { clock }, { successTtlMs: cacheTtlMs, failureTtlMs: cacheTtlMs });
}

interface JwtSource {
  readonly jwt: TokenAuthenticator | undefined;
  readonly anonymous: AnonymousOptions;
}

/** Tokens that were accepted are not looked at again for so long, as upstream does. */
const rememberedMs = 10_000;

async function openJwt(
  { authentication }: ApiServerSettings,
  audiences: readonly string[],
  stack: StopStack,
  deps: SourcesDeps,
): Promise<JwtSource> {
  const { configFile, oidc, anonymous: anonymousFlag, serviceAccounts } = authentication;
  const byFlag = { enabled: anonymousFlag ?? true, paths: [] };
  if (configFile === undefined && !oidc) return { jwt: undefined, anonymous: byFlag };
  const { configOfFlags, parseAuthenticationConfig } = await import("../apiserver/authn/authentication-config.ts");
  const { validateAuthenticationConfig } = await import("../apiserver/authn/validate-authentication-config.ts");
  const { describeErrors } = await import("../apiserver/configuration/describe-errors.ts");
  const { JwtAuthenticators } = await import("../apiserver/authn/oidc/jwt-authenticators.ts");
  const { cachedTokens } = await import("../apiserver/authn/cached-tokens.ts");
  const { algorithmNames } = await import("../apiserver/authn/jwt.ts");
  const rulesOf = (config: AuthenticationConfig) => {
    const { errors, rules } = validateAuthenticationConfig(config, {
      expressions: noExpressions,
      disallowedIssuers: serviceAccounts.issuers,
    });
    if (errors.length > 0) throw new Error(`invalid authentication configuration: ${describeErrors(errors)}`);
    return rules;
  };
  const options = { algorithms: oidc?.signingAlgs ?? algorithmNames, audiences };
  const remembered = (tokens: TokenAuthenticator): TokenAuthenticator =>
    cachedTokens(tokens, deps, { successTtlMs: rememberedMs, failureTtlMs: 0 });
  if (configFile === undefined) {
    const caPem = await readFor("oidc-ca-file", oidc?.caFile, (text) => text);
    const rules = await forFlag("oidc-issuer-url and other --oidc-* flags", async () => (oidc ? rulesOf(configOfFlags(oidc, caPem)) : []));
    return { jwt: remembered(stack.add(new JwtAuthenticators(rules, deps, options))), anonymous: byFlag };
  }
  const { text, config, rules } = await forFlag("authentication-config", async () => {
    const contents = await readFile(configFile, "utf8");
    const parsed = await parseAuthenticationConfig(contents);
    if (parsed.anonymous && anonymousFlag !== undefined)
      throw new Error(
        "anonymous: Forbidden: --anonymous-auth flag cannot be set when anonymous field is configured in authentication configuration file",
      );
    return { text: contents, config: parsed, rules: rulesOf(parsed) };
  });
  const authenticators = stack.add(new JwtAuthenticators(rules, deps, options));
  let tokens = remembered(authenticators);
  const reloads = deps.metrics.counter(
    "apiserver_authentication_config_controller_automatic_reloads_total",
    "Total number of automatic reloads of authentication configuration split by status and apiserver identity.",
    ["status"],
  );
  const take = async (next: AuthenticationConfig): Promise<void> => {
    await authenticators.update(rulesOf(next));
    // What was remembered was said by the old issuers.
    tokens = remembered(authenticators);
    reloads.series("success").add();
    deps.logger.info("Authentication configuration reloaded", { file: configFile });
  };
  const failed = (error: unknown): void => {
    reloads.series("failure").add();
    deps.logger.error("Authentication configuration not reloaded, the old one stays", { file: configFile, error });
  };
  stack.add(
    followFiles([{ path: configFile, contents: text }], {
      clock: deps.clock,
      failed,
      async changed([contents = ""]) {
        const next = await parseAuthenticationConfig(contents);
        if (JSON.stringify(next.anonymous) !== JSON.stringify(config.anonymous))
          throw new Error("anonymous: Forbidden: changed from initial configuration file");
        rulesOf(next);
        // Not waited for: until its issuers are found the file may change again.
        void take(next).catch(failed);
      },
    }),
  );
  return { jwt: { authenticateToken: (token, asked) => tokens.authenticateToken(token, asked) }, anonymous: config.anonymous ?? byFlag };
}
