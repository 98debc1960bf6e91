// Addresses, address ranges, domain names and ports in fields of objects.
import { type FieldError, invalidValue, required } from "../meta/field-error.ts";
import type { IntOrString } from "../meta/int-or-string.ts";
import { isLegacyCIDR, isLegacyIP, isValidIP, type ParsedIP, parseCIDR, parseIP } from "../meta/ip.ts";
import { isDNS1123Label, isDNS1123Subdomain, isHTTPPath, isPortName, isPortNumber } from "../meta/names.ts";
import { addProblems } from "./rules.ts";

/** An address in a field as old as the API. What the object had before (`existing`) is not looked at again. */
export function checkLegacyIP(errors: FieldError[], field: string, value: string, existing: readonly string[] = []): void {
  if (!existing.includes(value)) addProblems(errors, field, value, isLegacyIP(value, true));
}

/** A range of addresses in a field as old as the API. What the object had before (`existing`) is not looked at again. */
export function checkLegacyCIDR(errors: FieldError[], field: string, value: string, existing: readonly string[] = []): void {
  if (!existing.includes(value)) addProblems(errors, field, value, isLegacyCIDR(value, true));
}

/** An address in a newer field: strict and canonical. */
export const checkIP = (errors: FieldError[], field: string, value: string): void => addProblems(errors, field, value, isValidIP(value));

const startsWith = (bytes: readonly number[], ...prefix: readonly number[]): boolean => prefix.every((byte, i) => bytes[i] === byte);
export const isLoopback = ({ family, bytes }: ParsedIP): boolean =>
  family === 4 ? bytes[0] === 127 : bytes.every((byte, i) => byte === (i === 15 ? 1 : 0));
export const isLinkLocal = ({ family, bytes }: ParsedIP): boolean =>
  family === 4 ? startsWith(bytes, 169, 254) : bytes[0] === 0xfe && ((bytes[1] ?? 0) & 0xc0) === 0x80;
const isLinkLocalMulticast = ({ family, bytes }: ParsedIP): boolean =>
  family === 4 ? startsWith(bytes, 224, 0, 0) : bytes[0] === 0xff && ((bytes[1] ?? 0) & 0x0f) === 0x02;

/** An address that traffic is sent to: none with a meaning of its own to the machine that sends. */
export function checkEndpointIP(errors: FieldError[], field: string, value: string): void {
  const ip = parseIP(value);
  if (!ip) {
    errors.push(invalidValue(field, value, "must be a valid IP address"));
    return;
  }
  const refuse = (what: string): void => void errors.push(invalidValue(field, value, `may not be ${what}`));
  if (ip.bytes.every((byte) => byte === 0)) refuse(`unspecified (${value})`);
  if (isLoopback(ip)) refuse("in the loopback range (127.0.0.0/8, ::1/128)");
  if (isLinkLocal(ip)) refuse("in the link-local range (169.254.0.0/16, fe80::/10)");
  if (isLinkLocalMulticast(ip)) refuse("in the link-local multicast range (224.0.0.0/24, ff02::/10)");
}

/** A host name with a domain; a dot at the end is let pass. */
export function checkDomainName(errors: FieldError[], field: string, value: string): void {
  if (value === "") {
    errors.push(required(field));
    return;
  }
  const name = value.endsWith(".") ? value.slice(0, -1) : value;
  const problems = isDNS1123Subdomain(name);
  const labels = name.split(".");
  const wrong = labels.find((label) => isDNS1123Label(label).length > 0);
  if (problems.length > 0) errors.push(invalidValue(field, name, problems.join(",")));
  else if (labels.length < 2) errors.push(invalidValue(field, name, "should be a domain with at least two segments separated by dots"));
  else if (wrong !== undefined) errors.push(invalidValue(field, wrong, isDNS1123Label(wrong).join(",")));
}

/** "acme.io/foo". */
export function checkDomainPrefixedPath(errors: FieldError[], field: string, value: string | undefined): void {
  if (!value) {
    errors.push(required(field));
    return;
  }
  const slash = value.indexOf("/");
  const [host, path] = [value.slice(0, Math.max(slash, 0)), value.slice(slash + 1)];
  if (slash < 0 || host === "" || path === "") {
    errors.push(invalidValue(field, value, 'must be a domain-prefixed path (such as "acme.io/foo")'));
    return;
  }
  addProblems(errors, field, host, isDNS1123Subdomain(host));
  addProblems(errors, field, path, isHTTPPath(path));
}

/** The number or the name of a port. */
export function checkPort(errors: FieldError[], field: string, port: IntOrString): void {
  addProblems(errors, field, port, typeof port === "number" ? isPortNumber(port) : isPortName(port));
}

interface IngressPoint {
  readonly ip?: string;
  readonly hostname?: string;
}

/** Where a load balancer can be reached, in the status of services and ingresses. */
export function checkIngressPoint(
  errors: FieldError[],
  field: string,
  { ip, hostname }: IngressPoint,
  existing: readonly string[],
  between?: () => void,
): void {
  if (ip) checkLegacyIP(errors, `${field}.ip`, ip, existing);
  between?.();
  if (!hostname) return;
  addProblems(errors, `${field}.hostname`, hostname, isDNS1123Subdomain(hostname));
  if (parseIP(hostname)) errors.push(invalidValue(`${field}.hostname`, hostname, "must be a DNS name, not an IP address"));
}

/** An address of a network interface with the length of its network: "192.168.1.5/24", canonical. */
export function checkInterfaceAddress(errors: FieldError[], field: string, value: string): void {
  const cidr = parseCIDR(value);
  if (!cidr) {
    errors.push(invalidValue(field, value, "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)"));
    return;
  }
  const canonical = `${cidr.ip.canonical}/${cidr.prefixLength}`;
  if (canonical !== value) errors.push(invalidValue(field, value, `must be in canonical form ("${canonical}")`));
}
