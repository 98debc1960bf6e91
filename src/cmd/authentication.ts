// Wires authentication: which ways of saying who asks are believed, in upstream's order (front proxy, client certificate,
// bearer tokens).
import type { KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { AdmissionReader } from "../apiserver/admission/admission.ts";
import type { Authenticator, TokenAuthenticator } from "../apiserver/authn/authenticator.ts";
import { createBearerTokenAuthenticator, unionTokenAuthenticator } from "../apiserver/authn/bearer-token.ts";
import { createBootstrapTokenAuthenticator } from "../apiserver/authn/bootstrap-token.ts";
import { createBoundObjects } from "../apiserver/authn/bound-objects.ts";
import { createClientCertificateAuthenticator } from "../apiserver/authn/client-certificate.ts";
import { createRequestHeaderAuthenticator, type RequestHeaderOptions } from "../apiserver/authn/request-header.ts";
import { createLegacyTokens, createSecretTokenUse } from "../apiserver/authn/secret-tokens.ts";
import { readPublicKeys, readSigningKey, ServiceAccountKeys } from "../apiserver/authn/service-account-keys.ts";
import { createServiceAccountTokens, type ServiceAccountTokens } from "../apiserver/authn/service-account-tokens.ts";
import { createTokenFileAuthenticator } from "../apiserver/authn/token-file.ts";
import type { ApiServerSettings } from "../apiserver/options.ts";
import type { Clock } from "../base/clock.ts";
import { errorText, type Logger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import { CommandError } from "./command-error.ts";
import type { Pki } from "./pki.ts";

/** What the flags' files hold. */
export interface AuthenticationFiles {
  readonly tokens: TokenAuthenticator | undefined;
  /** Whose service-account tokens are accepted, besides those of the signing key. */
  readonly serviceAccountKeys: readonly KeyObject[];
  readonly signingKey: KeyObject | undefined;
}

export interface AuthenticationDeps {
  readonly reader: AdmissionReader;
  /** The server's own. */
  readonly client: Client;
  readonly clock: Clock;
  readonly pki: Pki;
  readonly logger: Logger;
  readonly requestHeader: RequestHeaderOptions;
}

export interface Authentication {
  readonly authenticators: readonly Authenticator[];
  /** All kinds of bearer tokens. */
  readonly anyToken: TokenAuthenticator;
  readonly serviceAccountTokens: ServiceAccountTokens;
}

/** Reads the files of the flags, before anything is started. Throws CommandError. */
export async function readAuthenticationFiles({ authentication }: ApiServerSettings): Promise<AuthenticationFiles> {
  const { tokenAuthFile, serviceAccounts } = authentication;
  const { keyFiles, signingKeyFile } = serviceAccounts;
  const [tokens, signingKey, ...serviceAccountKeys] = await Promise.all([
    readFor("token-auth-file", tokenAuthFile, createTokenFileAuthenticator),
    readFor("service-account-signing-key-file", signingKeyFile, readSigningKey),
    ...keyFiles.map((path) => readFor("service-account-key-file", path, readPublicKeys)),
  ]);
  return { tokens, signingKey, serviceAccountKeys: serviceAccountKeys.flatMap((keys) => keys ?? []) };
}

export function createAuthentication(
  { authentication }: ApiServerSettings,
  files: AuthenticationFiles,
  deps: AuthenticationDeps,
): Authentication {
  const { reader, client, clock, pki, logger, requestHeader } = deps;
  const { serviceAccounts, apiAudiences } = authentication;
  const signingKey = files.signingKey ?? pki.serviceAccountKey.privateKey;
  // Keys of flags take the place of the cluster's own, but what is being signed can always be verified.
  const own = files.signingKey || files.serviceAccountKeys.length > 0 ? [] : [pki.serviceAccountKey.privateKey];
  const keys = new ServiceAccountKeys([signingKey, ...files.serviceAccountKeys, ...own]);
  const secretUse = createSecretTokenUse({ client, clock, logger });
  const serviceAccountTokens = createServiceAccountTokens({
    signingKey,
    keys,
    issuers: serviceAccounts.issuers,
    ...(apiAudiences.length > 0 ? { audiences: apiAudiences } : {}),
    reader,
    client,
    secretUse,
    clock,
  });
  const { audiences } = serviceAccountTokens;
  const legacy = createLegacyTokens({
    keys,
    audiences,
    objects: createBoundObjects(reader, client),
    use: secretUse,
    lookup: serviceAccounts.lookup,
  });
  const anyToken = unionTokenAuthenticator([
    ...(files.tokens ? [files.tokens] : []),
    legacy,
    serviceAccountTokens,
    ...(authentication.bootstrapTokens ? [createBootstrapTokenAuthenticator({ reader, clock })] : []),
  ]);
  const authenticators = [
    createRequestHeaderAuthenticator(requestHeader, { clock }),
    createClientCertificateAuthenticator({ clock }),
    createBearerTokenAuthenticator(anyToken),
  ];
  return { authenticators, anyToken, serviceAccountTokens };
}

/** What a flag's file says; undefined without the flag. Throws CommandError. */
async function readFor<T>(flag: string, path: string | undefined, read: (text: string, path: string) => T): Promise<T | undefined> {
  if (path === undefined) return undefined;
  try {
    return read(await readFile(path, "utf8"), path);
  } catch (error) {
    throw new CommandError(`--${flag}: ${errorText(error)}`);
  }
}
