// Objects as bytes: JSON as upstream's encoder ends it (a newline), indented for people, and YAML with sorted keys.

/** JSON bytes; `pretty` indents by two spaces. */
export function encodeJson(object: unknown, pretty = false): Uint8Array {
  return Buffer.from(pretty ? JSON.stringify(object, undefined, 2) : `${JSON.stringify(object)}\n`);
}

/** YAML bytes, keys sorted and lists not indented. The encoder is loaded when first needed. */
export async function encodeYaml(object: unknown): Promise<Uint8Array> {
  const { stringify } = await import("../../api/encode/yaml-text.ts");
  // By way of JSON, so that absent values stay absent and only JSON's types appear.
  const plain: unknown = JSON.parse(JSON.stringify(object));
  return Buffer.from(stringify(plain, { sortMapEntries: true, indentSeq: false, lineWidth: 0, version: "1.1" }));
}
