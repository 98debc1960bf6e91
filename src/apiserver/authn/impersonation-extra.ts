// What constrained impersonation asks of extra keys and values, whatever the rules say: keys are domain-prefixed paths in
// lower case ("acme.com/project"), values are there and not empty.
import { checkDomainPrefixedPath } from "../../api/validation/domain-prefixed-path.ts";

/** Why the extra information may not be impersonated, in upstream's words; undefined where it may. */
export function invalidExtra(extra: readonly (readonly [string, readonly string[]])[]): string | undefined {
  for (const [key, values] of extra) {
    if (key === "") return "impersonating the empty string key in extra is not allowed";
    const [problem] = checkDomainPrefixedPath("extra.key", key);
    if (problem) return `impersonating an invalid key in extra is not allowed: ${problem.message}`;
    if (key !== key.toLowerCase()) return `impersonating a non-lowercase key in extra is not allowed: ${JSON.stringify(key)}`;
    if (values.length === 0) return "impersonating empty values in extra is not allowed";
    if (values.includes("")) return "impersonating the empty string value in extra is not allowed";
  }
  return undefined;
}
