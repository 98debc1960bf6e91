// Domain-prefixed paths ("acme.com/project"): keys of a user's extra information.
import { type FieldError, invalidValue, required } from "../meta/field-error.ts";
import { isDNS1123Subdomain } from "../meta/names.ts";

const pathForm = /^[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$/;

export function checkDomainPrefixedPath(field: string, value: string): readonly FieldError[] {
  if (value === "") return [required(field)];
  const slash = value.indexOf("/");
  if (slash <= 0 || slash === value.length - 1)
    return [invalidValue(field, value, 'must be a domain-prefixed path (such as "acme.io/foo")')];
  const [domain, path] = [value.slice(0, slash), value.slice(slash + 1)];
  return [
    ...isDNS1123Subdomain(domain).map((problem) => invalidValue(field, domain, problem)),
    ...(pathForm.test(path) ? [] : [invalidValue(field, path, `Invalid path (regex used for validation is '${pathForm.source}')`)]),
  ];
}
