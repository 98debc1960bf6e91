// Base64 texts of byte fields, checked and normalised as Go's decoder reads and its encoder writes them, without decoding:
// line breaks are ignored, padding is required, unused trailing bits become zero.

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const wellFormed = /^[A-Za-z0-9+/]*={0,2}$/;

/** The canonical text; undefined when it is no base64. */
export function normalizeBase64(text: string): string | undefined {
  const compact = text.includes("\n") || text.includes("\r") ? text.replace(/[\r\n]/g, "") : text;
  if (compact.length % 4 !== 0 || !wellFormed.test(compact)) return undefined;
  const padding = compact.endsWith("==") ? 2 : compact.endsWith("=") ? 1 : 0;
  if (padding === 0) return compact;
  const at = compact.length - padding - 1;
  const bits = alphabet.indexOf(compact.charAt(at));
  const used = bits & (padding === 2 ? 0b110000 : 0b111100);
  return used === bits ? compact : compact.slice(0, at) + alphabet.charAt(used) + "=".repeat(padding);
}

/** Go's message for a text that is no base64: where the first problem is. */
export function base64Problem(text: string): string {
  let quantum = 0;
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charAt(i);
    if (c === "\n" || c === "\r") continue;
    if (quantum === 0) start = i;
    if (alphabet.includes(c)) {
      quantum = (quantum + 1) % 4;
      continue;
    }
    const rest = text.slice(i + 1).replace(/[\r\n]/g, "");
    if (c !== "=" || quantum < 2) return `illegal base64 data at input byte ${i}`;
    if (quantum === 2 && !rest.startsWith("=")) return `illegal base64 data at input byte ${rest === "" ? text.length : i + 1}`;
    return `illegal base64 data at input byte ${quantum === 2 ? i + 2 : i + 1}`;
  }
  return `illegal base64 data at input byte ${start}`;
}

/** The base64 of a text in UTF-8. */
export function encodeBase64(text: string): string {
  let binary = "";
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte);
  return btoa(binary);
}

/** The base64 of bytes. */
export function base64OfBytes(bytes: Uint8Array): string {
  let binary = "";
  for (let at = 0; at < bytes.length; at += callArguments) binary += String.fromCharCode(...bytes.subarray(at, at + callArguments));
  return btoa(binary);
}

/** How many arguments one call is given: far below what engines allow. */
const callArguments = 8192;

/** The bytes of a canonical base64 text, as `normalizeBase64` gives it. */
export function bytesOfBase64(text: string): Uint8Array {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** Whether an item of a list can stand for a byte; null does, for 0. */
export const isByte = (item: unknown): boolean =>
  item === null || (typeof item === "number" && Number.isInteger(item) && item >= 0 && item <= 255);

/** The base64 text of bytes that are given as a list of numbers, as Go's decoder takes them too; undefined where one is none. */
export function base64OfList(list: readonly unknown[]): string | undefined {
  let text = "";
  for (const item of list) {
    if (!isByte(item)) return undefined;
    text += String.fromCharCode(Number(item));
  }
  return btoa(text);
}
