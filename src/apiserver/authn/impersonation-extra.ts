// What constrained impersonation asks of extra keys and values, whatever the rules say: keys are domain-prefixed paths in
// lower case ("acme.com/project"), values are there and not empty.
import { isDNS1123Subdomain } from "../../api/meta/names.ts";

/** Why the extra information may not be impersonated, in upstream's words; undefined where it may. */
export function invalidExtra(extra: readonly (readonly [string, readonly string[]])[]): string | undefined {
  for (const [key, values] of extra) {
    if (key === "") return "impersonating the empty string key in extra is not allowed";
    const problem = invalidPath(key);
    if (problem !== undefined) return `impersonating an invalid key in extra is not allowed: extra.key: Invalid value: ${problem}`;
    if (key !== key.toLowerCase()) return `impersonating a non-lowercase key in extra is not allowed: ${JSON.stringify(key)}`;
    if (values.length === 0) return "impersonating empty values in extra is not allowed";
    if (values.includes("")) return "impersonating the empty string value in extra is not allowed";
  }
  return undefined;
}

const pathForm = /^[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$/;

function invalidPath(key: string): string | undefined {
  const quoted = JSON.stringify(key);
  const slash = key.indexOf("/");
  if (slash < 0 || slash === key.length - 1) return `${quoted}: must be a domain-prefixed path (such as "acme.io/foo")`;
  const domain = key.slice(0, slash);
  const [problem] = isDNS1123Subdomain(domain);
  if (problem !== undefined) return `${JSON.stringify(domain)}: ${problem}`;
  const path = key.slice(slash + 1);
  return pathForm.test(path) ? undefined : `${JSON.stringify(path)}: Invalid path (regex used for validation is '${pathForm.source}')`;
}
