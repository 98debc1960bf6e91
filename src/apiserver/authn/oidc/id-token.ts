// The form of an ID token: what its header says of itself, and the types that its registered claims have to have. Told in
// upstream's words.
import { goQuoted } from "../../../base/go-quoted.ts";
import { cannotDecode } from "../json-mismatch.ts";
import { jwtMalformation } from "../jwt.ts";

export type Claims = Readonly<Record<string, unknown>>;

/** Throws where the token cannot be read, whoever signed it. */
export function checkForm(token: string, header: Readonly<Record<string, unknown>> | undefined): void {
  const malformed = (problem: string): Error => new Error(`oidc: malformed jwt: ${problem}`);
  const problem = jwtMalformation(token);
  if (problem !== undefined) throw malformed(problem);
  if (!header) throw malformed("expected an object as header");
  for (const [name, what] of [
    ["kid", "key ID"],
    ["alg", "algorithm"],
    ["nonce", "nonce"],
  ] as const) {
    const value = header[name];
    if (value === undefined || value === null || typeof value === "string") continue;
    throw malformed(`failed to unmarshal ${what}: ${cannotDecode(value, "string")}: ${goQuoted(JSON.stringify(value))}`);
  }
}

const fieldProblems: Readonly<Record<string, (value: unknown, field: string) => string | undefined>> = {
  iss: textProblem,
  sub: textProblem,
  nonce: textProblem,
  at_hash: textProblem,
  aud: audienceProblem,
  exp: timeProblem,
  iat: timeProblem,
  nbf: (value, field) => (value === null ? undefined : timeProblem(value, field)),
  _claim_names: (value, field) => membersProblem(value, field, { type: "map[string]string", member: textProblem }),
  _claim_sources: (value, field) => membersProblem(value, field, { type: "map[string]oidc.claimSource", member: sourceProblem }),
};

/** Throws where a registered claim is of another type, or a distributed one has no source. */
export function checkClaimTypes(claims: Claims): void {
  for (const [name, value] of Object.entries(claims)) {
    const problem = Object.hasOwn(fieldProblems, name) ? fieldProblems[name]?.(value, `idToken.${name}`) : undefined;
    if (problem !== undefined) throw new Error(`oidc: failed to unmarshal claims: ${problem}`);
  }
  const sources = (claims._claim_sources ?? {}) as Readonly<Record<string, unknown>>; // an object, as was found above
  for (const source of Object.values((claims._claim_names ?? {}) as Readonly<Record<string, string>>)) {
    if (!source) throw new Error("oidc: failed to obtain source from claim name");
    if (!Object.hasOwn(sources, source)) throw new Error("oidc: source does not exist");
  }
}

function textProblem(value: unknown, field: string): string | undefined {
  return value === null || typeof value === "string" ? undefined : cannotDecode(value, "string", field);
}

function audienceProblem(value: unknown, field: string): string | undefined {
  if (value === null || typeof value === "string") return undefined;
  if (!Array.isArray(value)) return cannotDecode(value, "[]string", field);
  return value.map((audience) => textProblem(audience, field)).find((problem) => problem !== undefined);
}

function timeProblem(value: unknown, field: string): string | undefined {
  if (value === null) return 'strconv.ParseFloat: parsing "": invalid syntax';
  if (typeof value !== "number" && typeof value !== "string") return cannotDecode(value, "json.Number", field);
  if (claimSeconds(value) !== undefined) return undefined;
  return `json: invalid number literal, trying to unmarshal ${goQuoted(JSON.stringify(value))} into Number`;
}

function membersProblem(
  value: unknown,
  field: string,
  { type, member }: { readonly type: string; readonly member: (value: unknown, field: string) => string | undefined },
): string | undefined {
  if (value === null) return undefined;
  if (typeof value !== "object" || Array.isArray(value)) return cannotDecode(value, type, field);
  return Object.values(value)
    .map((one) => member(one, field))
    .find((problem) => problem !== undefined);
}

function sourceProblem(value: unknown, field: string): string | undefined {
  if (value === null) return undefined;
  if (typeof value !== "object" || Array.isArray(value)) return cannotDecode(value, "oidc.claimSource", field);
  const { endpoint = null, access_token: token = null } = value as { readonly endpoint?: unknown; readonly access_token?: unknown };
  return textProblem(endpoint, `${field}.endpoint`) ?? textProblem(token, `${field}.access_token`);
}

/** Of a number, or of a text that is one as JSON writes it. */
export function claimSeconds(value: unknown): number | undefined {
  if (typeof value === "number") return Math.trunc(value);
  return typeof value === "string" && /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(value) ? Math.trunc(Number(value)) : undefined;
}
