// The front proxy: somebody whose certificate the front proxy's CA has signed may say in headers whom he asks for. That is
// how aggregated API servers learn from this one who asks, and how an authenticating proxy in front of this one works.
// Headers of anybody else mean nothing.
import type { Clock } from "../../base/clock.ts";
import type { ApiRequest } from "../request.ts";
import type { Authenticator } from "./authenticator.ts";
import { createCertificateReader } from "./client-certificate.ts";
import { unescapeKey } from "./impersonation-stage.ts";
import type { UserInfo } from "./user.ts";

/** Which headers say who asks; names in any case. */
export interface RequestHeaderOptions {
  readonly usernameHeaders: readonly string[];
  readonly uidHeaders: readonly string[];
  readonly groupHeaders: readonly string[];
  readonly extraHeaderPrefixes: readonly string[];
  /** Common names of the certificates that may; none means all. */
  readonly allowedNames: readonly string[];
}

export function createRequestHeaderAuthenticator(options: RequestHeaderOptions, deps: { readonly clock: Clock }): Authenticator {
  const read = createCertificateReader(deps);
  const lower = (names: readonly string[]): readonly string[] => names.map((name) => name.toLowerCase());
  const [usernameHeaders, uidHeaders] = [lower(options.usernameHeaders), lower(options.uidHeaders)];
  const [groupHeaders, prefixes] = [lower(options.groupHeaders), lower(options.extraHeaderPrefixes)];
  const { allowedNames } = options;
  return {
    authenticate(request) {
      const der = request.frontProxyCertificate;
      if (!der) return undefined;
      const { subject } = read(der);
      if (allowedNames.length > 0 && !allowedNames.includes(subject.commonName))
        throw new Error(`x509: subject with cn=${subject.commonName} is not in the allowed list`);
      const name = firstValue(request, usernameHeaders);
      if (name === "") return undefined;
      const uid = firstValue(request, uidHeaders);
      const extra = extraOf(request, prefixes);
      const user: UserInfo = {
        name,
        groups: groupHeaders.flatMap((header) => valuesOf(request, header)),
        ...(uid === "" ? {} : { uid }),
        ...(Object.keys(extra).length === 0 ? {} : { extra }),
      };
      return { user };
    },
  };
}

function firstValue(request: ApiRequest, names: readonly string[]): string {
  for (const name of names) {
    const [value = ""] = request.headers[name] === undefined ? [] : request.headerLines(name);
    if (value !== "") return value;
  }
  return "";
}

const valuesOf = (request: ApiRequest, name: string): readonly string[] =>
  request.headers[name] === undefined ? [] : request.headerLines(name).filter((value) => value !== "");

/** Keys are the proxy's choice, "__proto__" too. */
function extraOf(request: ApiRequest, prefixes: readonly string[]): Record<string, readonly string[]> {
  const extra = new Map<string, readonly string[]>();
  for (const prefix of prefixes)
    for (const header of Object.keys(request.headers)) {
      if (!header.startsWith(prefix)) continue;
      const key = unescapeKey(header.slice(prefix.length));
      extra.set(key, [...(extra.get(key) ?? []), ...request.headerLines(header)]);
    }
  return Object.fromEntries(extra);
}
