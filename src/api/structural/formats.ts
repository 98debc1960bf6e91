// The formats of texts that schemas of custom resources can ask for; a format that is not among them is ignored. The checks
// accept what Go's parsers accept, which is not always what the format's own specification says.

import { isRequestUri } from "../meta/go-url.ts";
import { parseCIDR, parseIP } from "../meta/ip.ts";
import { byteLength } from "../meta/names.ts";

type Check = (text: string) => boolean;

const matches =
  (pattern: RegExp): Check =>
  (text) =>
    pattern.test(text);

const uuid = (version: string, variant: string): Check =>
  matches(new RegExp(`^[0-9a-f]{8}-?[0-9a-f]{4}-?${version}[0-9a-f]{3}-?${variant}[0-9a-f]{3}-?[0-9a-f]{12}$`, "i"));

const channel = "(0|[1-9]\\d?|1\\d\\d?|2[0-4]\\d|25[0-5])";
const cardNumber =
  /^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35\d{3})\d{11})$/;
const hostName =
  /^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9\-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$/u;
const name = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?";

/** Checks by the names of formats without their dashes. */
const checks: Readonly<Record<string, Check>> = {
  bsonobjectid: matches(/^[0-9a-fA-F]{24}$/),
  uri: isRequestUri,
  email: isEmail,
  hostname: (text) => byteLength(text) <= 255 && hostName.test(text) && text.split(".").every((label) => byteLength(label) <= 63),
  ipv4: (text) => text.includes(".") && parseIP(text) !== undefined,
  ipv6: (text) => text.includes(":") && parseIP(text) !== undefined,
  cidr: (text) => parseCIDR(text) !== undefined,
  mac: isMac,
  uuid: matches(/^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i),
  uuid3: uuid("3", "[0-9a-f]"),
  uuid4: uuid("4", "[89ab]"),
  uuid5: uuid("5", "[89ab]"),
  isbn: (text) => isIsbn10(text) || isIsbn13(text),
  isbn10: isIsbn10,
  isbn13: isIsbn13,
  creditcard: isCreditCard,
  ssn: (text) => text.length === 11 && /^\d{3}[- ]?\d{2}[- ]?\d{4}$/.test(text),
  hexcolor: matches(/^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$/),
  rgbcolor: matches(new RegExp(`^rgb\\(\\s*${channel}\\s*,\\s*${channel}\\s*,\\s*${channel}\\s*\\)$`)),
  byte: matches(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$/),
  password: () => true,
  date: isDate,
  duration: isDuration,
  datetime: isDateTime,
  k8sshortname: (text) => text.length <= 63 && new RegExp(`^${name}$`).test(text),
  k8slongname: (text) => text.length <= 253 && new RegExp(`^${name}(?:\\.${name})*$`).test(text),
};

/** The check of a format of texts; undefined for one that is ignored. */
export function formatCheck(format: string): Check | undefined {
  const known = format.replaceAll("-", "");
  return Object.hasOwn(checks, known) ? checks[known] : undefined;
}

/** Whether a format has a meaning for values of these types. */
export function isKnownFormat(types: readonly string[], format: string): boolean {
  switch (types.length === 1 ? types[0] : "") {
    case "":
    case "string":
      return formatCheck(format) !== undefined;
    case "integer":
      return format === "int32" || format === "int64";
    case "number":
      return format === "float" || format === "double";
    default:
      return false;
  }
}

const atom = '[^\\s()<>\\[\\]:;@\\\\,."]+';
const quotedText = '"(?:[^"\\\\]|\\\\.)*"';
const address = `(?:${atom}(?:\\.${atom})*|${quotedText})@(?:${atom}(?:\\.${atom})*|\\[[^\\[\\]\\\\]*\\])`;
const bareAddress = new RegExp(`^\\s*${address}\\s*$`);
const namedAddress = new RegExp(`^\\s*(?:(?:${quotedText}|[^\\s()<>\\[\\]:;@\\\\,"]+)(?:\\s+|(?=["<])))*<${address}>\\s*$`);

/** An address as mail has it, with or without a name. */
function isEmail(text: string): boolean {
  return bareAddress.test(text) || namedAddress.test(text);
}

function isMac(text: string): boolean {
  if (/^[0-9a-fA-F]{4}(?:\.[0-9a-fA-F]{4})+$/.test(text)) return [3, 4, 10].includes(text.split(".").length);
  return /^[0-9a-fA-F]{2}([:-])(?:[0-9a-fA-F]{2}\1)*[0-9a-fA-F]{2}$/.test(text) && [6, 8, 20].includes((text.length + 1) / 3);
}

const digitsOf = (text: string): string => text.replace(/[\s-]+/g, "");
const sumOf = (digits: string, weight: (i: number) => number): number =>
  [...digits].reduce((sum, digit, i) => sum + weight(i) * (digit === "X" ? 10 : Number(digit)), 0);

function isIsbn10(text: string): boolean {
  const digits = digitsOf(text);
  return /^(?:[0-9]{9}X|[0-9]{10})$/.test(digits) && sumOf(digits, (i) => i + 1) % 11 === 0;
}

function isIsbn13(text: string): boolean {
  const digits = digitsOf(text);
  return /^[0-9]{13}$/.test(digits) && sumOf(digits, (i) => (i % 2 === 0 ? 1 : 3)) % 10 === 0;
}

function isCreditCard(text: string): boolean {
  const digits = text.replace(/[^0-9]+/g, "");
  if (!cardNumber.test(digits)) return false;
  let sum = 0;
  for (const [i, digit] of [...digits].reverse().entries()) {
    const value = Number(digit) * (i % 2 === 0 ? 1 : 2);
    sum += value > 9 ? value - 9 : value;
  }
  return sum % 10 === 0;
}

function isDate(text: string): boolean {
  const parts = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text);
  if (!parts) return false;
  const [year, month, day] = parts.slice(1).map(Number) as [number, number, number];
  if (month < 1 || month > 12 || day < 1) return false;
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  return day <= (month === 2 ? (leap ? 29 : 28) : [4, 6, 9, 11].includes(month) ? 30 : 31);
}

function isDateTime(text: string): boolean {
  const [date = "", time] = text.toLowerCase().split("t");
  if (time === undefined || !isDate(date)) return false;
  const parts = /^([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))$/.exec(time);
  return parts !== null && (parts[1] ?? "") <= "23" && (parts[2] ?? "") <= "59" && (parts[3] ?? "") <= "59";
}

const goDuration = /^[-+]?(?:0|(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/;
const wordUnit = /^(?:ns|nano.*|us|µs|micro.*|ms|milli.*|s|sec.*|m|min.*|h|hr|hour.*|d|day.*|w|wk|week.*)$/i;

/** What Go reads as a duration, or one in words: "22 ns", "3 days". */
function isDuration(text: string): boolean {
  if (goDuration.test(text)) return true;
  return [...text.matchAll(/(?<!\d)\d+\s*([A-Za-zµ]+)/g)].some(([, unit = ""]) => wordUnit.test(unit));
}
