// Results of ADD in the forms of all versions of the specification, read into the form of 1.1.0 and written from it: 0.1.0 and
// 0.2.0 know one address of each family, 0.3.0 to 0.4.0 say the family of each address, 1.1.0 has more fields than 1.0.0.
import { CniError, cniErrorCodes } from "./cni-error.ts";
import type { CniAddress, CniDns, CniInterface, CniResult, CniRoute } from "./result.ts";
import { compareVersions, isSupported } from "./versions.ts";

type Json = Readonly<Record<string, unknown>>;

/** Throws CniError where the value is no result of that version. `version`: used where the value names none. */
export function parseResult(value: unknown, version: string): CniResult {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw nonsense("the result is no object", value);
  const json = value as Json;
  const written = typeof json.cniVersion === "string" && json.cniVersion !== "" ? json.cniVersion : version;
  if (!isSupported(written)) throw new CniError(cniErrorCodes.incompatibleVersion, `unsupported CNI result version "${written}"`);
  return compareVersions(written, "0.3.0") < 0 ? parseLegacy(json) : parseModern(json);
}

/** The object a plugin prints, or gets as prevResult. */
export function renderResult(result: CniResult, version: string): object {
  if (!isSupported(version)) throw new CniError(cniErrorCodes.incompatibleVersion, `unsupported CNI result version "${version}"`);
  if (compareVersions(version, "0.3.0") < 0) return renderLegacy(result, version);
  const withFamily = compareVersions(version, "1.0.0") < 0;
  const withDetails = compareVersions(version, "1.1.0") >= 0;
  const { interfaces = [], ips = [], routes = [], dns = {} } = result;
  return {
    cniVersion: version,
    ...(interfaces.length > 0 ? { interfaces: withDetails ? interfaces : interfaces.map(plainInterface) } : {}),
    ...(ips.length > 0 ? { ips: withFamily ? ips.map((ip) => ({ version: familyOf(ip.address), ...ip })) : ips } : {}),
    ...(routes.length > 0 ? { routes: withDetails ? routes : routes.map(plainRoute) } : {}),
    dns,
  };
}

const familyOf = (address: string): "4" | "6" => (address.includes(":") ? "6" : "4");

const plainInterface = ({ name, mac, sandbox }: CniInterface): CniInterface => ({
  name,
  ...(mac === undefined ? {} : { mac }),
  ...(sandbox === undefined ? {} : { sandbox }),
});

const plainRoute = ({ dst, gw }: CniRoute): CniRoute => ({ dst, ...(gw === undefined ? {} : { gw }) });

function parseModern(json: Json): CniResult {
  const interfaces = list(json, "interfaces").map((entry): CniInterface => {
    const { name } = entry;
    if (typeof name !== "string") throw nonsense("an interface of the result has no name", entry);
    return {
      name,
      ...text(entry, "mac"),
      ...number(entry, "mtu"),
      ...text(entry, "sandbox"),
      ...text(entry, "socketPath"),
      ...text(entry, "pciID"),
    };
  });
  const ips = list(json, "ips").map((entry): CniAddress => {
    const { address } = entry;
    if (typeof address !== "string") throw nonsense("an address of the result is no text", entry);
    return { address, ...text(entry, "gateway"), ...number(entry, "interface") };
  });
  const lastIndex = interfaces.length - 1;
  const astray = ips.find((ip) => ip.interface !== undefined && ip.interface > lastIndex && lastIndex >= 0);
  if (astray) throw nonsense("an address of the result is on an interface that is not in it", astray);
  return { ...whole({ interfaces, ips, routes: list(json, "routes").map(parseRoute) }), ...parseDns(json) };
}

function parseRoute(entry: Json): CniRoute {
  const { dst } = entry;
  if (typeof dst !== "string") throw nonsense("a route of the result has no destination", entry);
  return {
    dst,
    ...text(entry, "gw"),
    ...number(entry, "mtu"),
    ...number(entry, "advmss"),
    ...number(entry, "priority"),
    ...number(entry, "table"),
    ...number(entry, "scope"),
  };
}

/** Leaves out what is empty. */
function whole(parts: Required<Pick<CniResult, "interfaces" | "ips" | "routes">>): CniResult {
  return Object.fromEntries(Object.entries(parts).filter(([, entries]) => entries.length > 0));
}

function parseDns(json: Json): Pick<CniResult, "dns"> {
  const { dns } = json;
  if (typeof dns !== "object" || dns === null || Object.keys(dns).length === 0) return {};
  return { dns: dns as CniDns }; // handed on as it is; nothing here reads it
}

interface LegacyAddress {
  readonly ip: string;
  readonly gateway?: string;
  readonly routes?: readonly Json[];
}

function parseLegacy(json: Json): CniResult {
  const addresses = [json.ip4, json.ip6].filter((entry) => typeof entry === "object" && entry !== null) as readonly LegacyAddress[];
  const ips = addresses.map((entry): CniAddress => {
    if (typeof entry.ip !== "string") throw nonsense("an address of the result is no text", entry);
    return { address: entry.ip, ...(entry.gateway ? { gateway: entry.gateway } : {}) };
  });
  return { ...whole({ interfaces: [], ips, routes: addresses.flatMap(({ routes = [] }) => routes.map(parseRoute)) }), ...parseDns(json) };
}

function renderLegacy({ ips = [], routes = [], dns = {} }: CniResult, version: string): object {
  const ofFamily = (family: "4" | "6"): object | undefined => {
    const first = ips.find((ip) => familyOf(ip.address) === family);
    if (!first) return undefined;
    const own = routes.filter(({ dst }) => familyOf(dst) === family).map(plainRoute);
    return {
      ip: first.address,
      ...(first.gateway === undefined ? {} : { gateway: first.gateway }),
      ...(own.length > 0 ? { routes: own } : {}),
    };
  };
  const [ip4, ip6] = [ofFamily("4"), ofFamily("6")];
  if (!ip4 && !ip6) throw new CniError(cniErrorCodes.internal, "cannot convert: no valid IP addresses");
  return { cniVersion: version, ...(ip4 ? { ip4 } : {}), ...(ip6 ? { ip6 } : {}), dns };
}

function list(json: Json, field: string): readonly Json[] {
  const value = json[field];
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || !value.every((entry) => typeof entry === "object" && entry !== null))
    throw nonsense(`${field} of the result is no list of objects`, value);
  return value as readonly Json[];
}

function text<F extends string>(entry: Json, field: F): { readonly [K in F]?: string } {
  const value = entry[field];
  return typeof value === "string" && value !== "" ? ({ [field]: value } as { [K in F]: string }) : {};
}

function number<F extends string>(entry: Json, field: F): { readonly [K in F]?: number } {
  const value = entry[field];
  return typeof value === "number" ? ({ [field]: value } as { [K in F]: number }) : {};
}

const nonsense = (what: string, value: unknown): CniError =>
  new CniError(cniErrorCodes.decodingFailure, `${what}: ${JSON.stringify(value)?.slice(0, 500)}`);
