// The flags that say who is believed to be whom, with upstream's names and defaults: client certificates, the front proxy,
// service-account tokens, OpenID Connect, webhooks, anonymous requests.
import {
  allParts,
  boolean,
  durationMs,
  FlagError,
  type FlagType,
  type FlagValues,
  flag,
  list,
  oneOf,
  optionalText,
  refuse,
} from "../base/flags.ts";
import type { RequestHeaderOptions } from "./authn/request-header.ts";

export interface AuthenticationSettings {
  /** Lines of "token,user,uid,groups". */
  readonly tokenAuthFile?: string;
  /** Signs client certificates, besides the cluster's own authority. */
  readonly clientCaFile?: string;
  /** Undefined where the flag was not given: then requests without credentials are anonymous, or as the configuration says. */
  readonly anonymous?: boolean;
  readonly bootstrapTokens: boolean;
  readonly apiAudiences: readonly string[];
  /** Absent: the front proxy of the cluster's own authority. */
  readonly frontProxy?: RequestHeaderOptions & { readonly caFile: string };
  /** What this server presents to aggregated API servers; default a certificate of the front proxy's own authority. */
  readonly proxyClient?: { readonly certFile: string; readonly keyFile: string };
  readonly serviceAccounts: ServiceAccountSettings;
  /** The file of --authentication-config. */
  readonly configFile?: string;
  readonly oidc?: OidcSettings;
  readonly webhook?: TokenWebhookSettings;
}

export interface ServiceAccountSettings {
  /** The first one issues; tokens of all are accepted. */
  readonly issuers: readonly string[];
  readonly jwksUri?: string;
  readonly keyFiles: readonly string[];
  readonly signingKeyFile?: string;
  /** The socket of a signer that has the key instead: a path, or "@name". */
  readonly signingEndpoint?: string;
  readonly maxTokenExpirationMs: number;
  readonly extendTokenExpiration: boolean;
  /** Whether tokens that stand in secrets are compared with those. */
  readonly lookup: boolean;
}

export interface OidcSettings {
  readonly issuerUrl: string;
  readonly clientId: string;
  readonly caFile?: string;
  readonly usernameClaim: string;
  /** "-" for none. */
  readonly usernamePrefix: string;
  readonly groupsClaim: string;
  readonly groupsPrefix: string;
  readonly signingAlgs: readonly string[];
  readonly requiredClaims: Readonly<Record<string, string>>;
}

export interface TokenWebhookSettings {
  readonly configFile: string;
  readonly version: "v1" | "v1beta1";
  readonly cacheTtlMs: number;
}

/** A comma list without empty members. */
const names: FlagType<readonly string[]> = {
  placeholder: "strings",
  parse(value, previous) {
    const parts = value === "" ? [] : value.split(",").map((part) => part.trim());
    if (parts.includes("")) throw new Error("expected names that are not empty");
    return [...(previous ?? []), ...parts];
  },
};

/** The flag may be repeated; commas have no meaning. */
const repeated: FlagType<readonly string[]> = {
  placeholder: "stringArray",
  parse(value, previous) {
    if (value === "") throw new Error("expected a value that is not empty");
    return [...(previous ?? []), value];
  },
};

const issuers: FlagType<readonly string[]> = {
  placeholder: "stringArray",
  parse(value, previous = []) {
    if (value === "" || (value.includes(":") && !URL.canParse(value))) throw new Error("expected a name or a URL");
    if (previous.includes(value)) throw new Error("expected each issuer once");
    return [...previous, value];
  },
};

const httpsUrl: FlagType<string | undefined> = {
  placeholder: "url",
  parse(value) {
    if (!URL.canParse(value) || new URL(value).protocol !== "https:") throw new Error('expected a URL that begins with "https://"');
    return value;
  },
};

const claims: FlagType<Readonly<Record<string, string>> | undefined> = {
  placeholder: "claim=value",
  parse(value, previous) {
    const equals = value.indexOf("=");
    if (equals <= 0) throw new Error('expected "claim=value"');
    return { ...previous, [value.slice(0, equals)]: value.slice(equals + 1) };
  },
};

const optionalBoolean: FlagType<boolean | undefined> = boolean as FlagType<boolean | undefined>;
const optionalList: FlagType<readonly string[] | undefined> = list as FlagType<readonly string[] | undefined>;
const signingAlgorithms = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"];

const oidcFlags = {
  "oidc-issuer-url": flag(optionalText, undefined, "issuer of OpenID Connect tokens; tokens of this URL are checked by its keys"),
  "oidc-client-id": flag(optionalText, undefined, "the audience that OpenID Connect tokens must be for"),
  "oidc-ca-file": flag(optionalText, undefined, "authority that signed the issuer's certificate; default those of the machine"),
  "oidc-username-claim": flag(optionalText, undefined, 'claim that is the user name; default "sub"'),
  "oidc-username-prefix": flag(optionalText, undefined, 'before user names; default the issuer for claims other than email, "-" for none'),
  "oidc-groups-claim": flag(optionalText, undefined, "claim that is the groups, a string or a list of them"),
  "oidc-groups-prefix": flag(optionalText, undefined, "before group names"),
  "oidc-signing-algs": flag(
    optionalList,
    undefined,
    `algorithms that tokens may be signed with, of ${signingAlgorithms.join(", ")}; default RS256`,
  ),
  "oidc-required-claim": flag(claims, undefined, "claim that tokens must have, with its value; may be repeated"),
};

const serviceAccountFlags = {
  "service-account-issuer": flag(
    issuers,
    ["https://kubernetes.default.svc.cluster.local"],
    "issuer of service-account tokens; may be repeated: the first issues, all are accepted",
  ),
  "service-account-jwks-uri": flag(httpsUrl, undefined, "where others fetch the keys, as the discovery document says; default this server"),
  "service-account-key-file": flag(repeated, [], "PEM keys that service-account tokens may be signed with; may be repeated"),
  "service-account-signing-key-file": flag(optionalText, undefined, "PEM key that signs service-account tokens"),
  "service-account-signing-endpoint": flag(
    optionalText,
    undefined,
    'socket of an external signer of service-account tokens (externaljwt.v1), "@name" for an abstract one; instead of key files',
  ),
  "service-account-max-token-expiration": flag(durationMs, 0, "the longest a service-account token may live; 0 sets no limit"),
  "service-account-extend-token-expiration": flag(boolean, true, "let tokens that pods get by admission live for a year"),
  "service-account-lookup": flag(boolean, true, "refuse tokens of secrets that are gone or hold another one"),
};

export const authenticationFlags = {
  "token-auth-file": flag(optionalText, undefined, 'file with lines of "token,user,uid,groups"'),
  "client-ca-file": flag(
    optionalText,
    undefined,
    "authority that signs client certificates, besides the cluster's own; followed when it changes",
  ),
  "anonymous-auth": flag(optionalBoolean, undefined, "let requests without credentials through to authorization (default true)"),
  "enable-bootstrap-token-auth": flag(boolean, true, "accept the bootstrap tokens of secrets in kube-system"),
  "api-audiences": flag(list, [], "audiences of the API server; default the issuers"),
  "requestheader-client-ca-file": flag(
    optionalText,
    undefined,
    "authority of a front proxy, which may say in headers who asks; default the cluster's own; followed when it changes",
  ),
  "requestheader-allowed-names": flag(names, [], "common names of the front proxy's certificates; none allows all"),
  "requestheader-username-headers": flag(names, [], "headers with the user's name"),
  "requestheader-uid-headers": flag(names, [], "headers with the user's uid"),
  "requestheader-group-headers": flag(names, [], "headers with the user's groups"),
  "requestheader-extra-headers-prefix": flag(names, [], "how headers with extra information about the user begin"),
  "proxy-client-cert-file": flag(optionalText, undefined, "certificate presented to aggregated API servers; followed when it changes"),
  "proxy-client-key-file": flag(optionalText, undefined, "key of that certificate"),
  ...serviceAccountFlags,
  ...oidcFlags,
  "authentication-config": flag(optionalText, undefined, "file with an AuthenticationConfiguration; followed when it changes"),
  "authentication-token-webhook-config-file": flag(optionalText, undefined, "kubeconfig of a webhook that knows bearer tokens"),
  "authentication-token-webhook-version": flag(oneOf("v1", "v1beta1"), "v1beta1", "version of TokenReview to send to the webhook"),
  "authentication-token-webhook-cache-ttl": flag(durationMs, 120_000, "how long the webhook's answers are remembered"),
};

type Values = FlagValues<typeof authenticationFlags>;

/** Checks what flags cannot check alone; throws FlagError. */
export function authenticationOptions(values: Values): AuthenticationSettings {
  const { frontProxy, oidc, proxyClient, serviceAccounts } = allParts({
    frontProxy: () => frontProxyOptions(values),
    oidc: () => oidcOptions(values),
    proxyClient: () => proxyClientOptions(values),
    serviceAccounts: () => serviceAccountOptions(values),
  });
  const [tokenAuthFile, clientCaFile] = [values["token-auth-file"], values["client-ca-file"]];
  const [configFile, anonymous] = [values["authentication-config"], values["anonymous-auth"]];
  const webhookFile = values["authentication-token-webhook-config-file"];
  return {
    ...(tokenAuthFile ? { tokenAuthFile } : {}),
    ...(clientCaFile ? { clientCaFile } : {}),
    ...(anonymous === undefined ? {} : { anonymous }),
    bootstrapTokens: values["enable-bootstrap-token-auth"],
    apiAudiences: values["api-audiences"],
    ...(frontProxy ? { frontProxy } : {}),
    ...(proxyClient ? { proxyClient } : {}),
    serviceAccounts,
    ...(configFile ? { configFile } : {}),
    ...(oidc ? { oidc } : {}),
    ...(webhookFile
      ? {
          webhook: {
            configFile: webhookFile,
            version: values["authentication-token-webhook-version"],
            cacheTtlMs: values["authentication-token-webhook-cache-ttl"],
          },
        }
      : {}),
  };
}

function proxyClientOptions(values: Values): AuthenticationSettings["proxyClient"] {
  const [certFile, keyFile] = [values["proxy-client-cert-file"], values["proxy-client-key-file"]];
  if (!certFile !== !keyFile) throw new FlagError("--proxy-client-cert-file and --proxy-client-key-file: expected both or neither");
  return certFile && keyFile ? { certFile, keyFile } : undefined;
}

function frontProxyOptions(values: Values): AuthenticationSettings["frontProxy"] {
  const caFile = values["requestheader-client-ca-file"];
  const options: RequestHeaderOptions = {
    usernameHeaders: values["requestheader-username-headers"],
    uidHeaders: values["requestheader-uid-headers"],
    groupHeaders: values["requestheader-group-headers"],
    extraHeaderPrefixes: values["requestheader-extra-headers-prefix"],
    allowedNames: values["requestheader-allowed-names"],
  };
  if (options.uidHeaders.length > 0 && !options.uidHeaders.some((name) => name.toLowerCase() === "x-remote-uid"))
    throw new FlagError("--requestheader-uid-headers: expected X-Remote-Uid among them, without which aggregation does not work");
  if (caFile) return { ...options, caFile };
  if (Object.values(options).some((given) => given.length > 0))
    throw new FlagError("--requestheader-* flags: expected --requestheader-client-ca-file beside them");
  return undefined;
}

const abstractSocket = /^@([a-zA-Z0-9_-]+\.)*[a-zA-Z0-9_-]+$/;

const hourMs = 3600_000;

function serviceAccountOptions(values: Values): ServiceAccountSettings {
  const maxTokenExpirationMs = values["service-account-max-token-expiration"];
  if (maxTokenExpirationMs !== 0 && (maxTokenExpirationMs < hourMs || maxTokenExpirationMs > 2 ** 32 * 1000))
    throw new FlagError("--service-account-max-token-expiration: expected a duration from 1 hour to 2^32 seconds, or 0");
  const signingEndpoint = values["service-account-signing-endpoint"];
  refuse(
    [
      !!signingEndpoint && (!!values["service-account-signing-key-file"] || values["service-account-key-file"].length > 0),
      "--service-account-signing-endpoint: expected neither --service-account-signing-key-file nor --service-account-key-file beside it",
    ],
    [
      signingEndpoint?.startsWith("@") === true && !abstractSocket.test(signingEndpoint),
      `--service-account-signing-endpoint: expected the name of an abstract socket after "@", found ${JSON.stringify(signingEndpoint)}`,
    ],
  );
  const [jwksUri, signingKeyFile] = [values["service-account-jwks-uri"], values["service-account-signing-key-file"]];
  return {
    issuers: values["service-account-issuer"],
    ...(jwksUri ? { jwksUri } : {}),
    keyFiles: values["service-account-key-file"],
    ...(signingKeyFile ? { signingKeyFile } : {}),
    ...(signingEndpoint ? { signingEndpoint } : {}),
    maxTokenExpirationMs,
    extendTokenExpiration: values["service-account-extend-token-expiration"],
    lookup: values["service-account-lookup"],
  };
}

function oidcOptions(values: Values): OidcSettings | undefined {
  const given = Object.keys(oidcFlags).some((name) => values[name as keyof typeof oidcFlags] !== undefined);
  if (!given) return undefined;
  if (values["authentication-config"]) throw new FlagError("--authentication-config: expected no --oidc-* flags beside it");
  const [issuerUrl, clientId, caFile] = [values["oidc-issuer-url"], values["oidc-client-id"], values["oidc-ca-file"]];
  if (!issuerUrl || !clientId) throw new FlagError("--oidc-issuer-url and --oidc-client-id: expected both when any --oidc-* flag is given");
  const signingAlgs = values["oidc-signing-algs"] ?? ["RS256"];
  const unknown = signingAlgs.find((name) => !signingAlgorithms.includes(name));
  if (unknown !== undefined)
    throw new FlagError(
      `--oidc-signing-algs: unknown algorithm ${JSON.stringify(unknown)}, expected some of ${signingAlgorithms.join(", ")}`,
    );
  return {
    issuerUrl,
    clientId,
    ...(caFile ? { caFile } : {}),
    usernameClaim: values["oidc-username-claim"] || "sub",
    usernamePrefix: values["oidc-username-prefix"] ?? "",
    groupsClaim: values["oidc-groups-claim"] ?? "",
    groupsPrefix: values["oidc-groups-prefix"] ?? "",
    signingAlgs,
    requiredClaims: values["oidc-required-claim"] ?? {},
  };
}
