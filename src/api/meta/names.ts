// The forms of names, label keys and values, ports and the like. Every check returns the problems of a text as upstream
// words them, an empty list when it is well-formed, so that a validator can put each of them into a field error.
// Lengths are in bytes. Checks that upstream shares with declarative validation say "bytes" where the others say
// "characters".

const noProblems: readonly string[] = [];

const labelFormat = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const subdomainFormat = `${labelFormat}(\\.${labelFormat})*`;
const underscoreLabelFormat = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
const underscoreSubdomainFormat = `${underscoreLabelFormat}(\\.${underscoreLabelFormat})*`;
const dns1035Format = "[a-z]([-a-z0-9]*[a-z0-9])?";
const wildcardFormat = `\\*\\.${subdomainFormat}`;
const qualifiedFormat = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const labelValueFormat = `(${qualifiedFormat})?`;
const cIdentifierFormat = "[A-Za-z_][A-Za-z0-9_]*";
const envVarFormat = "[-._a-zA-Z][-._a-zA-Z0-9]*";
const configMapKeyFormat = "[-._a-zA-Z0-9]+";
const percentFormat = "[0-9]+%";
const httpHeaderFormat = "[-A-Za-z0-9]+";
const httpPathFormat = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+";

const whole = (format: string, flags = ""): RegExp => new RegExp(`^${format}$`, flags);
const labelPattern = whole(labelFormat);
const subdomainPattern = whole(subdomainFormat);
const caselessSubdomainPattern = whole(subdomainFormat, "i");
const underscoreSubdomainPattern = whole(underscoreSubdomainFormat);
const dns1035Pattern = whole(dns1035Format);
const wildcardPattern = whole(wildcardFormat);
const qualifiedPattern = whole(qualifiedFormat);
const labelValuePattern = whole(labelValueFormat);
const cIdentifierPattern = whole(cIdentifierFormat);
const envVarPattern = whole(envVarFormat);
const configMapKeyPattern = whole(configMapKeyFormat);
const percentPattern = whole(percentFormat);
const httpHeaderPattern = whole(httpHeaderFormat);
const httpPathPattern = whole(httpPathFormat);

const emptyProblem = "must be non-empty";
const tooManyCharacters = (max: number): string => `must be no more than ${max} characters`;
const tooManyBytes = (max: number): string => `must be no more than ${max} bytes`;

/** `must … (e.g. 'a',  or 'b', regex used for validation is '…')`, punctuated as upstream does. */
export function formatProblem(message: string, format: string, ...examples: readonly string[]): string {
  if (examples.length === 0) return `${message} (regex used for validation is '${format}')`;
  return `${message} (e.g. ${examples.map((e) => `'${e}', `).join(" or ")}regex used for validation is '${format}')`;
}

/** The number of bytes of a text in UTF-8. */
export function byteLength(text: string): number {
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) bytes += 1;
    else if (unit < 0x800) bytes += 2;
    else if (unit >= 0xd800 && unit < 0xdc00 && i + 1 < text.length) {
      bytes += 4;
      i++;
    } else bytes += 3;
  }
  return bytes;
}

interface Form {
  readonly pattern: RegExp;
  /** What is said when the pattern does not match. */
  readonly problem: string;
  /** Largest number of bytes; no limit when absent. */
  readonly max?: number;
}

function check(value: string, { pattern, problem, max }: Form): readonly string[] {
  const long = max !== undefined && byteLength(value) > max;
  const matches = pattern.test(value);
  if (matches && !long) return noProblems;
  return [...(long ? [tooManyCharacters(max)] : []), ...(matches ? [] : [problem])];
}

const subdomainProblem = formatProblem(
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
  subdomainFormat,
  "example.com",
);
const labelProblem = formatProblem(
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
  labelFormat,
  "my-name",
  "123-abc",
);

/** Names of pods' containers, services' namespaces and the like: at most 63 characters without dots. */
export function isDNS1123Label(value: string): readonly string[] {
  const problem = subdomainPattern.test(value) ? "must not contain dots" : labelProblem;
  return check(value, { pattern: labelPattern, problem, max: 63 });
}

/** Names of most objects: labels joined by dots, at most 253 characters. */
export function isDNS1123Subdomain(value: string): readonly string[] {
  return check(value, { pattern: subdomainPattern, problem: subdomainProblem, max: 253 });
}

const caselessForm: Form = {
  pattern: caselessSubdomainPattern,
  problem: formatProblem(
    "an RFC 1123 subdomain must consist of alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
    subdomainFormat,
    "Example.com",
  ),
};

/** A subdomain in which capitals are allowed. */
export function isDNS1123SubdomainCaseless(value: string): readonly string[] {
  const problems = check(value, caselessForm);
  return byteLength(value) > 253 ? [tooManyBytes(253), ...problems] : problems;
}

const underscoreForm: Form = {
  pattern: underscoreSubdomainPattern,
  problem: formatProblem(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character",
    underscoreSubdomainFormat,
    "example.com",
  ),
  max: 253,
};

/** A subdomain in which underscores are allowed: DNS search paths. */
export const isDNS1123SubdomainWithUnderscore = (value: string): readonly string[] => check(value, underscoreForm);

const dns1035Form: Form = {
  pattern: dns1035Pattern,
  problem: formatProblem(
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
    dns1035Format,
    "my-name",
    "abc-123",
  ),
  max: 63,
};

/** A label that begins with a letter: names of services. */
export const isDNS1035Label = (value: string): readonly string[] => check(value, dns1035Form);

const wildcardForm: Form = {
  pattern: wildcardPattern,
  problem: formatProblem(
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
    wildcardFormat,
    "*.example.com",
  ),
  max: 253,
};

/** "*.example.com": hosts of ingresses. */
export const isWildcardSubdomain = (value: string): readonly string[] => check(value, wildcardForm);

const qualifiedProblem = formatProblem(
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
  qualifiedFormat,
  "MyName",
  "my.name",
  "123-abc",
);

/** Keys of labels and annotations, names of resources and finalizers: "name" or "example.com/name". */
export function isQualifiedName(value: string): readonly string[] {
  const parts = value.split("/");
  if (parts.length > 2)
    return [`a valid label key ${qualifiedProblem} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`];
  const name = parts.at(-1) ?? "";
  const prefix = parts.length === 2 ? parts[0] : undefined;
  const nameFits = name.length <= 63 && qualifiedPattern.test(name);
  if (nameFits && (prefix === undefined || (prefix.length <= 253 && subdomainPattern.test(prefix)))) return noProblems;

  const problems: string[] = [];
  if (prefix === "") problems.push(`prefix part ${emptyProblem}`);
  else if (prefix !== undefined) {
    if (byteLength(prefix) > 253) problems.push(`prefix part ${tooManyBytes(253)}`);
    if (!subdomainPattern.test(prefix)) problems.push(`prefix part ${subdomainProblem}`);
  }
  if (name === "") problems.push(`name part ${emptyProblem}`);
  else if (byteLength(name) > 63) problems.push(`name part ${tooManyBytes(63)}`);
  if (!qualifiedPattern.test(name)) problems.push(`name part ${qualifiedProblem}`);
  return problems;
}

const labelValueProblem = formatProblem(
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
  labelValueFormat,
  "MyValue",
  "my_value",
  "12345",
);

/** Values of labels: at most 63 characters, may be empty. */
export function isLabelValue(value: string): readonly string[] {
  const long = byteLength(value) > 63;
  const matches = labelValuePattern.test(value);
  if (matches && !long) return noProblems;
  return [...(long ? [tooManyBytes(63)] : []), ...(matches ? [] : [labelValueProblem])];
}

const cIdentifierForm: Form = {
  pattern: cIdentifierPattern,
  problem: formatProblem(
    "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'",
    cIdentifierFormat,
    "my_name",
    "MY_NAME",
    "MyName",
  ),
};

export const isCIdentifier = (value: string): readonly string[] => check(value, cIdentifierForm);

/** Names of environment variables since they were relaxed: printable ASCII without "=". */
export function isEnvVarName(value: string): readonly string[] {
  if (value === "") return [`environment variable name ${emptyProblem}`];
  if (/^[ -<>-~]*$/.test(value)) return noProblems;
  return ["a valid environment variable name must consist only of printable ASCII characters other than '='"];
}

const strictEnvVarForm: Form = {
  pattern: envVarPattern,
  problem: formatProblem(
    "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit",
    envVarFormat,
    "my.env-name",
    "MY_ENV.NAME",
    "MyEnvName1",
  ),
};

/** Names of environment variables as they had to be before they were relaxed. */
export const isStrictEnvVarName = (value: string): readonly string[] => [...check(value, strictEnvVarForm), ...leavesDirectory(value)];

const configMapKeyForm: Form = {
  pattern: configMapKeyPattern,
  problem: formatProblem(
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    configMapKeyFormat,
    "key.name",
    "KEY_NAME",
    "key-name",
  ),
  max: 253,
};

/** Keys of config maps and secrets; they become file names. */
export const isConfigMapKey = (value: string): readonly string[] => [...check(value, configMapKeyForm), ...leavesDirectory(value)];

function leavesDirectory(value: string): readonly string[] {
  if (value === ".") return ["must not be '.'"];
  if (value === "..") return ["must not be '..'"];
  return value.startsWith("..") ? ["must not start with '..'"] : noProblems;
}

export function isInRange(value: number, min: number, max: number): readonly string[] {
  return value >= min && value <= max ? noProblems : [`must be between ${min} and ${max}, inclusive`];
}

export const isPortNumber = (port: number): readonly string[] => isInRange(port, 1, 65535);
export const isUserID = (id: number): readonly string[] => isInRange(id, 0, 2 ** 31 - 1);
export const isGroupID = (id: number): readonly string[] => isInRange(id, 0, 2 ** 31 - 1);

/** Names of ports: IANA service names. */
export function isPortName(value: string): readonly string[] {
  const problems: string[] = [];
  if (byteLength(value) > 15) problems.push(tooManyCharacters(15));
  if (!/^[-a-z0-9]+$/.test(value)) problems.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
  if (!/[a-z]/.test(value)) problems.push("must contain at least one letter (a-z)");
  if (value.includes("--")) problems.push("must not contain consecutive hyphens");
  if (value.startsWith("-") || value.endsWith("-")) problems.push("must not begin or end with a hyphen");
  return problems;
}

const percentForm: Form = {
  pattern: percentPattern,
  problem: formatProblem("a valid percent string must be a numeric string followed by an ending '%'", percentFormat, "1%", "93%"),
};

export const isPercent = (value: string): readonly string[] => check(value, percentForm);

const httpHeaderForm: Form = {
  pattern: httpHeaderPattern,
  problem: formatProblem("a valid HTTP header must consist of alphanumeric characters or '-'", httpHeaderFormat, "X-Header-Name"),
};

export const isHTTPHeaderName = (value: string): readonly string[] => check(value, httpHeaderForm);

/** The part of a domain-prefixed path ("acme.io/foo") after the domain. */
export const isHTTPPath = (value: string): readonly string[] =>
  check(value, { pattern: httpPathPattern, problem: formatProblem("Invalid path", httpPathFormat) });

/** Names that stand in URL paths: not "." or "..", without "/" and "%". */
export function isPathSegmentName(value: string): readonly string[] {
  if (value === "." || value === "..") return [`may not be '${value}'`];
  return isPathSegmentPrefix(value);
}

export function isPathSegmentPrefix(value: string): readonly string[] {
  return ["/", "%"].filter((c) => value.includes(c)).map((c) => `may not contain '${c}'`);
}
