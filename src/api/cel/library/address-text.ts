// Texts of addresses and blocks as expressions read them: like Go's netip, without zones and without IPv4 inside of IPv6.
import { CelError } from "../../../cel/cel.ts";
import { parseIP } from "../../meta/ip.ts";

const quoted = (text: string): string => JSON.stringify(text);

/** 4 or 16 bytes. Throws CelError. */
export function parseAddress(text: string): readonly number[] {
  const problem = addressProblem(text);
  if (problem !== undefined) throw new CelError(`IP Address ${quoted(text)} parse error during conversion from string: ${problem}`);
  if (text.includes("%")) throw new CelError(`IP address ${quoted(text)} with zone value is not allowed`);
  const parsed = parseIP(text);
  if (!parsed || parsed.mapped) throw new CelError(`IPv4-mapped IPv6 address ${quoted(text)} is not allowed`);
  return parsed.bytes;
}

export interface Prefix {
  readonly bytes: readonly number[];
  readonly prefixLength: number;
}

/** Throws CelError. */
export function parsePrefix(text: string): Prefix {
  const start = "network address parse error during conversion from string: ";
  const refuse = (problem: string): never => {
    throw new CelError(`${start}${start}netip.ParsePrefix(${quoted(text)}): ${problem}`);
  };
  const slash = text.lastIndexOf("/");
  if (slash < 0) return refuse("no '/'");
  const address = text.slice(0, slash);
  const problem = addressProblem(address);
  if (problem !== undefined) return refuse(problem);
  if (address.includes("%")) return refuse("IPv6 zones cannot be present in a prefix");
  const bits = text.slice(slash + 1);
  if (!/^(?:0|[1-9]\d*)$/.test(bits)) return refuse(`bad bits after slash: ${quoted(bits)}`);
  const parsed = parseIP(address);
  const most = parsed?.family === 4 && !parsed.mapped ? 32 : 128;
  if (Number(bits) > most) return refuse("prefix length out of range");
  if (!parsed || parsed.mapped) throw new CelError(`${start}IPv4-mapped IPv6 address ${quoted(text)} is not allowed`);
  return { bytes: parsed.bytes, prefixLength: Number(bits) };
}

/** Why a text is no address, in Go's words; undefined where it is one. */
function addressProblem(text: string): string | undefined {
  const tell = (problem: string, at = ""): string => `ParseAddr(${quoted(text)}): ${problem}${at === "" ? "" : ` (at ${quoted(at)})`}`;
  const kind = /[.:%]/.exec(text)?.[0];
  if (kind === undefined) return tell("unable to parse IP");
  if (kind === "%") return tell("missing IPv6 address");
  if (kind === ".") return ipv4Problem(text, tell);
  const [address = "", ...zone] = text.split("%");
  if (zone.length > 0 && zone.join("%") === "") return tell("zone must be a non-empty string");
  const parsed = parseIP(address);
  if (parsed && !parsed.leadingZeros) return undefined;
  return tell(...ipv6Problem(address));
}

type Tell = (problem: string, at?: string) => string;

function ipv4Problem(text: string, tell: Tell): string | undefined {
  const wrong = /[^0-9.]/.exec(text);
  if (wrong) return tell("unexpected character", text.slice(wrong.index));
  const fields = text.split(".");
  let at = 0;
  for (const field of fields.slice(0, 4)) {
    if (field === "") return tell("IPv4 field must have at least one digit", text.slice(at));
    if (field.length > 1 && field.startsWith("0")) return tell("IPv4 field has octet with leading zero");
    if (Number(field) > 255) return tell("IPv4 field has value >255");
    at += field.length + 1;
  }
  if (fields.length > 4) return tell("IPv4 address too long");
  return fields.length < 4 ? tell("IPv4 address too short") : undefined;
}

function ipv6Problem(address: string): readonly [string, string?] {
  const wrong = /[^0-9a-fA-F:.]/.exec(address);
  if (wrong) return ["unexpected character, want colon", address.slice(wrong.index)];
  const double = address.indexOf("::");
  if (double >= 0 && address.indexOf("::", double + 1) >= 0)
    return ["multiple :: in address", address.slice(address.lastIndexOf("::") + 1)];
  const long = /[0-9a-fA-F]{5,}/.exec(address);
  if (long) return ["each group must have 4 or less digits", address.slice(long.index)];
  if (/[^:]:$/.test(address)) return ["colon must be followed by more characters", ":"];
  const groups = address.split(":").length;
  if (double < 0)
    return groups < 8 ? ["address string too short"] : ["trailing garbage after address", address.split(":").slice(8).join(":")];
  return ["the :: must expand to at least one field of zeros"];
}
