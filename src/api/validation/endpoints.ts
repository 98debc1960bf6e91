// Validation of endpoints and endpoint slices. Lists that an update leaves alone are not looked at again.
import { appendAll } from "../../base/append-all.ts";
import { semanticallyEqual } from "../meta/equality.ts";
import { duplicate, type FieldError, invalidValue, required, tooMany } from "../meta/field-error.ts";
import { parseIP } from "../meta/ip.ts";
import { isDNS1123Label, isDNS1123Subdomain, isLabelValue, isPortNumber, isQualifiedName } from "../meta/names.ts";
import type { EndpointAddress, EndpointSubset, Endpoints } from "../types/core-v1.ts";
import type { Endpoint, EndpointHints, EndpointPort, EndpointSlice } from "../types/discovery-v1.ts";
import { checkDomainName, checkEndpointIP, checkIP, checkLegacyIP } from "./addresses.ts";
import { validateLabels } from "./object-meta.ts";
import { addProblems, checkImmutable, checkSupported } from "./rules.ts";

const protocols = ["SCTP", "TCP", "UDP"];

export function validateEndpoints({ subsets = [] }: Endpoints, old?: Endpoints): FieldError[] {
  const errors: FieldError[] = [];
  for (const [i, subset] of subsets.entries()) validateSubset(errors, `subsets[${i}]`, subset);
  return errors.length > 0 && old && semanticallyEqual(old.subsets, subsets) ? [] : errors;
}

function validateSubset(errors: FieldError[], field: string, { addresses = [], notReadyAddresses = [], ports = [] }: EndpointSubset): void {
  if (addresses.length === 0 && notReadyAddresses.length === 0)
    errors.push(required(field, "must specify `addresses` or `notReadyAddresses`"));
  for (const [i, address] of addresses.entries()) validateAddress(errors, `${field}.addresses[${i}]`, address);
  for (const [i, address] of notReadyAddresses.entries()) validateAddress(errors, `${field}.notReadyAddresses[${i}]`, address);
  for (const [i, { name = "", port, protocol, appProtocol }] of ports.entries()) {
    const at = `${field}.ports[${i}]`;
    if (name !== "") addProblems(errors, `${at}.name`, name, isDNS1123Label(name));
    else if (ports.length > 1) errors.push(required(`${at}.name`));
    addProblems(errors, `${at}.port`, port, isPortNumber(port));
    checkSupported(errors, `${at}.protocol`, protocol, protocols, "required");
    if (appProtocol !== undefined) addProblems(errors, `${at}.appProtocol`, appProtocol, isQualifiedName(appProtocol));
  }
}

function validateAddress(errors: FieldError[], field: string, { ip, hostname, nodeName }: EndpointAddress): void {
  checkLegacyIP(errors, `${field}.ip`, ip);
  if (hostname) addProblems(errors, `${field}.hostname`, hostname, isDNS1123Label(hostname));
  if (nodeName !== undefined) addProblems(errors, `${field}.nodeName`, nodeName, isDNS1123Subdomain(nodeName));
  checkEndpointIP(errors, `${field}.ip`, ip);
}

const maxPorts = 20_000;
const maxEndpoints = 1000;
const maxAddresses = 100;
const maxTopologyLabels = 16;
const maxHints = 8;

export function validateEndpointSlice(slice: EndpointSlice, old?: EndpointSlice): FieldError[] {
  const errors: FieldError[] = [];
  checkSupported(errors, "addressType", slice.addressType, ["FQDN", "IPv4", "IPv6"], "required");
  validatePorts(errors, slice.ports ?? []);
  const found: FieldError[] = [];
  validateSliceEndpoints(found, slice.endpoints ?? [], slice.addressType);
  if (found.length > 0 && !(old && semanticallyEqual(old.endpoints, slice.endpoints))) appendAll(errors, found);
  if (old) checkImmutable(errors, "addressType", slice.addressType, old.addressType);
  return errors;
}

function validatePorts(errors: FieldError[], ports: readonly EndpointPort[]): void {
  if (ports.length > maxPorts) {
    errors.push(tooMany("ports", ports.length, maxPorts));
    return;
  }
  const names = new Set<string>();
  for (const [i, { name = "", protocol, appProtocol }] of ports.entries()) {
    const at = `ports[${i}]`;
    if (name !== "") addProblems(errors, `${at}.name`, name, isDNS1123Label(name));
    if (names.has(name)) errors.push(duplicate(`${at}.name`, name));
    names.add(name);
    if (protocol === undefined) errors.push(required(`${at}.protocol`));
    else checkSupported(errors, `${at}.protocol`, protocol, protocols);
    if (appProtocol !== undefined) addProblems(errors, `${at}.appProtocol`, appProtocol, isQualifiedName(appProtocol));
  }
}

function validateSliceEndpoints(errors: FieldError[], endpoints: readonly Endpoint[], type: string): void {
  if (endpoints.length > maxEndpoints) {
    errors.push(tooMany("endpoints", endpoints.length, maxEndpoints));
    return;
  }
  for (const [i, endpoint] of endpoints.entries()) {
    const at = `endpoints[${i}]`;
    const addresses = endpoint.addresses ?? [];
    if (addresses.length === 0) errors.push(required(`${at}.addresses`, "must contain at least 1 address"));
    else if (addresses.length > maxAddresses) errors.push(tooMany(`${at}.addresses`, addresses.length, maxAddresses));
    for (const [j, address] of addresses.entries()) validateSliceAddress(errors, `${at}.addresses`, j, { address, type });
    const { nodeName, hostname, hints } = endpoint;
    if (nodeName !== undefined) addProblems(errors, `${at}.nodeName`, nodeName, isDNS1123Subdomain(nodeName));
    validateTopology(errors, `${at}.deprecatedTopology`, endpoint.deprecatedTopology);
    if (hostname !== undefined) addProblems(errors, `${at}.hostname`, hostname, isDNS1123Label(hostname));
    if (hints) validateHints(errors, `${at}.hints`, hints);
  }
}

interface TypedAddress {
  readonly address: string;
  readonly type: string;
}

/** Addresses of types that are not known are not looked at. */
function validateSliceAddress(errors: FieldError[], field: string, i: number, { address, type }: TypedAddress): void {
  const at = `${field}[${i}]`;
  if (type === "FQDN") checkDomainName(errors, at, address);
  if (type !== "IPv4" && type !== "IPv6") return;
  const found = errors.length;
  if (type === "IPv4") checkLegacyIP(errors, at, address);
  else checkIP(errors, at, address);
  if (errors.length > found) return;
  if (parseIP(address)?.family !== (type === "IPv4" ? 4 : 6)) errors.push(invalidValue(field, address, `must be an ${type} address`));
  checkEndpointIP(errors, at, address);
}

function validateTopology(errors: FieldError[], field: string, topology: Readonly<Record<string, string>> | undefined): void {
  if (!topology) return;
  const size = Object.keys(topology).length;
  if (size > maxTopologyLabels) errors.push(tooMany(field, size, maxTopologyLabels));
  appendAll(errors, validateLabels(topology, field));
}

function validateHints(errors: FieldError[], field: string, { forZones = [], forNodes = [] }: EndpointHints): void {
  const check = (list: readonly { readonly name: string }[], at: string, form: (name: string) => readonly string[]): boolean => {
    if (list.length > maxHints) {
      errors.push(tooMany(at, list.length, maxHints));
      return false;
    }
    const names = new Set<string>();
    for (const [i, { name }] of list.entries()) {
      if (names.has(name)) errors.push(duplicate(`${at}[${i}].name`, name));
      names.add(name);
      addProblems(errors, `${at}[${i}].name`, name, form(name));
    }
    return true;
  };
  if (check(forZones, `${field}.forZones`, isLabelValue)) check(forNodes, `${field}.forNodes`, isDNS1123Subdomain);
}
