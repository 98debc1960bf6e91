// Names of those who sign certificates: "example.com/signer", a domain and a path of names joined by dots.
import { type FieldError, invalidValue, required, tooLong } from "../meta/field-error.ts";
import { byteLength, isDNS1123Label, isDNS1123Subdomain } from "../meta/names.ts";

const maxDomain = 253;
const maxSignerName = maxDomain + 1 + (maxDomain + 1 + 63);

export function validateSignerName(errors: FieldError[], field: string, name: string): void {
  if (name === "") {
    errors.push(required(field));
    return;
  }
  const [domain = "", path, ...more] = name.split("/");
  if (path === undefined || more.length > 0) {
    errors.push(invalidValue(field, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'"));
    return;
  }
  if (byteLength(domain) > maxDomain) errors.push(tooLong(field, maxDomain));
  checkLabels(errors, field, domain, isDNS1123Label);
  if (!domain.includes(".")) errors.push(invalidValue(field, domain, "should be a domain with at least two segments separated by dots"));
  checkLabels(errors, field, path, isDNS1123Subdomain);
  if (byteLength(name) > maxSignerName) errors.push(tooLong(field, maxSignerName));
}

/** Tells of the first part that is no name. */
function checkLabels(errors: FieldError[], field: string, text: string, check: (label: string) => readonly string[]): void {
  for (const label of text.split(".")) {
    const problems = check(label);
    for (const problem of problems) errors.push(invalidValue(field, text, `validating label ${JSON.stringify(label)}: ${problem}`));
    if (problems.length > 0) return;
  }
}
