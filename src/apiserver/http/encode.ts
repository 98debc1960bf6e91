// Objects as bytes: JSON as upstream's encoder ends it (a newline), indented for people, and YAML as upstream's library writes it.

/** JSON bytes; `pretty` indents by two spaces. */
export function encodeJson(object: unknown, pretty = false): Uint8Array {
  return Buffer.from(pretty ? JSON.stringify(object, undefined, 2) : `${JSON.stringify(object)}\n`);
}

/** YAML bytes. The encoder is loaded when first needed. */
export async function encodeYaml(object: unknown): Promise<Uint8Array> {
  const { writeGoYaml } = await import("../../api/encode/go-yaml.ts");
  // By way of JSON, so that absent values stay absent and only JSON's types appear.
  return Buffer.from(writeGoYaml(JSON.parse(JSON.stringify(object))));
}
