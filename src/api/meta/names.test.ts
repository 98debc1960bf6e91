import { describe, expect, it } from "vitest";
import * as names from "./names.ts";

const labelRule =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const subdomainRule =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const nameRule =
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

describe("names", () => {
  it("are labels of at most 63 characters", () => {
    expect(names.isDNS1123Label("web-1")).toEqual([]);
    expect(names.isDNS1123Label("Web")).toEqual([labelRule]);
    expect(names.isDNS1123Label("a.b")).toEqual(["must not contain dots"]);
    expect(names.isDNS1123Label("a".repeat(64))).toEqual(["must be no more than 63 characters"]);
    expect(names.isDNS1123Label("")).toEqual([labelRule]);
  });

  it("are subdomains of at most 253 characters", () => {
    expect(names.isDNS1123Subdomain("a.b-c.d")).toEqual([]);
    expect(names.isDNS1123Subdomain("a..b")).toEqual([subdomainRule]);
    expect(names.isDNS1123Subdomain("A".repeat(254))).toEqual(["must be no more than 253 characters", subdomainRule]);
    expect(names.isDNS1123SubdomainWithUnderscore("_sip._tcp.example.com")).toEqual([]);
    expect(names.isDNS1123SubdomainCaseless("Example.COM")).toEqual([]);
  });

  it("begin with a letter for DNS-1035 and with '*.' for wildcards", () => {
    expect(names.isDNS1035Label("web")).toEqual([]);
    expect(names.isDNS1035Label("1web")[0]).toMatch(/^a DNS-1035 label must .*\(e\.g\. 'my-name', {2}or 'abc-123', regex/);
    expect(names.isWildcardSubdomain("*.example.com")).toEqual([]);
    expect(names.isWildcardSubdomain("example.com")).toHaveLength(1);
  });

  it("may have a prefix when they are qualified", () => {
    expect(names.isQualifiedName("example.com/My.Name_1")).toEqual([]);
    expect(names.isQualifiedName("/a")).toEqual(["prefix part must be non-empty"]);
    expect(names.isQualifiedName("a/b/c")).toEqual([
      `a valid label key ${nameRule} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    ]);
    expect(names.isQualifiedName("a/")).toEqual(["name part must be non-empty", `name part ${nameRule}`]);
    expect(names.isQualifiedName("A/b")).toEqual([`prefix part ${subdomainRule}`]);
    expect(names.isQualifiedName("x".repeat(64))).toEqual(["name part must be no more than 63 bytes"]);
  });

  it("count bytes, not characters", () => {
    expect(names.byteLength("aé€😀")).toBe(10);
    expect(names.isLabelValue("é".repeat(32))[0]).toBe("must be no more than 63 bytes");
  });
});

describe("other forms", () => {
  it("are checked with upstream's words", () => {
    expect(names.isLabelValue("")).toEqual([]);
    expect(names.isLabelValue("-a")).toHaveLength(1);
    expect(names.isEnvVarName("1 a-b.c")).toEqual([]);
    expect(names.isEnvVarName("a=b")).toEqual([
      "a valid environment variable name must consist only of printable ASCII characters other than '='",
    ]);
    expect(names.isEnvVarName("")).toEqual(["environment variable name must be non-empty"]);
    expect(names.isStrictEnvVarName("1a")).toHaveLength(1);
    expect(names.isConfigMapKey("..a")).toEqual(["must not start with '..'"]);
    expect(names.isConfigMapKey("a/b")).toHaveLength(1);
    expect(names.isPortName("-http--a-very-long")).toEqual([
      "must be no more than 15 characters",
      "must not contain consecutive hyphens",
      "must not begin or end with a hyphen",
    ]);
    expect(names.isPortName("80")).toEqual(["must contain at least one letter (a-z)"]);
    expect(names.isPortNumber(0)).toEqual(["must be between 1 and 65535, inclusive"]);
    expect(names.isPercent("10")).toHaveLength(1);
    expect(names.isCIdentifier("a-b")).toHaveLength(1);
    expect(names.isHTTPHeaderName("X-A")).toEqual([]);
    expect(names.isHTTPPath("a b")).toEqual(["Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')"]);
    expect(names.isPathSegmentName("..")).toEqual(["may not be '..'"]);
    expect(names.isPathSegmentName("a/%")).toEqual(["may not contain '/'", "may not contain '%'"]);
  });
});
