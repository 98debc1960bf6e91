// Wires authentication: which ways of saying who asks are believed, in upstream's order (front proxy, client certificate,
// bearer tokens).
import { readFile } from "node:fs/promises";
import type { AdmissionReader } from "../apiserver/admission/admission.ts";
import type { Authenticator, TokenAuthenticator } from "../apiserver/authn/authenticator.ts";
import { createBearerTokenAuthenticator, unionTokenAuthenticator } from "../apiserver/authn/bearer-token.ts";
import { createBootstrapTokenAuthenticator } from "../apiserver/authn/bootstrap-token.ts";
import { createClientCertificateAuthenticator } from "../apiserver/authn/client-certificate.ts";
import { createRequestHeaderAuthenticator, type RequestHeaderOptions } from "../apiserver/authn/request-header.ts";
import { createServiceAccountTokens, type ServiceAccountTokens } from "../apiserver/authn/service-account-tokens.ts";
import { createTokenFileAuthenticator } from "../apiserver/authn/token-file.ts";
import type { ApiServerSettings } from "../apiserver/options.ts";
import type { Clock } from "../base/clock.ts";
import { errorText } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import { CommandError } from "./command-error.ts";
import type { Pki } from "./pki.ts";

/** What the flags' files hold. */
export interface AuthenticationFiles {
  readonly tokens: TokenAuthenticator | undefined;
}

export interface AuthenticationDeps {
  readonly reader: AdmissionReader;
  /** The server's own. */
  readonly client: Client;
  readonly clock: Clock;
  readonly pki: Pki;
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
  const { tokenAuthFile: path } = authentication;
  return {
    tokens:
      path === undefined
        ? undefined
        : await forFlag("token-auth-file", async () => createTokenFileAuthenticator(await readFile(path, "utf8"), path)),
  };
}

export function createAuthentication(
  { authentication }: ApiServerSettings,
  files: AuthenticationFiles,
  deps: AuthenticationDeps,
): Authentication {
  const { reader, client, clock, pki, requestHeader } = deps;
  const { serviceAccounts, apiAudiences } = authentication;
  const serviceAccountTokens = createServiceAccountTokens({
    signingKey: pki.serviceAccountKey.privateKey,
    issuers: serviceAccounts.issuers,
    ...(apiAudiences.length > 0 ? { audiences: apiAudiences } : {}),
    reader,
    client,
    clock,
  });
  const anyToken = unionTokenAuthenticator([
    ...(files.tokens ? [files.tokens] : []),
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

async function forFlag<T>(flag: string, work: () => Promise<T> | T): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new CommandError(`--${flag}: ${errorText(error)}`);
  }
}
