// Generates TypeScript for one gRPC protocol (CRI, CSI, device plugins, KMS …) from a JSON file of facts: services, enums,
// messages and field numbers. The output holds readonly interfaces, two interfaces for each service (calling, implementing),
// and the compact table
// that src/rpc/protobuf.ts encodes and decodes with. The output is committed; the facts are not needed at run time.
//
//   node scripts/generate-protocol.mjs FACTS.json src/cri/generated/runtime-v1.ts
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * How 64-bit integers appear in TypeScript. `number` (exact, or an error beyond 2^53) unless a pattern says otherwise:
 * `bigint` for values that are always larger (nanoseconds since 1970, bit masks), `rounded` for counters for which the
 * nearest double is good enough. Patterns match "Message.field".
 */
const wideIntegers = {
  "runtime.v1": { bigint: /_at$|\.timestamp$|\.cpu_mask$/, rounded: /^UInt64Value\.value$|^PsiData\.Total$/ },
};

const wellKnown = {
  "google.protobuf.Timestamp": { seconds: "1 int64", nanos: "2 int32" },
  "google.protobuf.BoolValue": { value: "1 bool" },
  "google.protobuf.Int64Value": { value: "1 int64" },
};

const scalarTypes = {
  string: "string",
  bytes: "Uint8Array",
  bool: "boolean",
  double: "number",
  float: "number",
  int32: "number",
  uint32: "number",
  sint32: "number",
  int64: "number",
  uint64: "number",
  sint64: "number",
  "int64:bigint": "bigint",
  "uint64:bigint": "bigint",
  "int64:rounded": "number",
  "uint64:rounded": "number",
};

const [factsPath, outPath] = process.argv.slice(2);
if (!factsPath || !outPath) {
  console.error("usage: node scripts/generate-protocol.mjs FACTS.json OUTPUT.ts");
  process.exit(2);
}
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const facts = JSON.parse(readFileSync(factsPath, "utf8"));
const messages = { ...facts.messages };
const wide = wideIntegers[facts.package] ?? {};

/** "CDI_devices" → "cdiDevices", "created_at" → "createdAt", "Avg10" → "avg10"; camelCase stays. */
function camelCase(name) {
  const [first = "", ...rest] = name.split("_");
  const head = first === first.toUpperCase() ? first.toLowerCase() : first[0].toLowerCase() + first.slice(1);
  return head + rest.map((part) => part[0].toUpperCase() + part.slice(1)).join("");
}

/** The TypeScript name of a (possibly nested) message or enum: "VolumeCapability.AccessMode" → "VolumeCapabilityAccessMode". */
const typeName = (name) => name.replace(/^google\.protobuf\./, "").replaceAll(".", "");

/** Resolves a type name as protobuf does: innermost scope first. */
function resolve(scope, name) {
  const plain = name.replace(/^\./, "");
  for (let parts = scope.split("."); ; parts = parts.slice(0, -1)) {
    const candidate = [...parts, plain].join(".");
    if (messages[candidate] || facts.enums[candidate]) return candidate;
    if (parts.length === 0) break;
  }
  if (wellKnown[plain]) {
    messages[plain] = wellKnown[plain];
    return plain;
  }
  throw new Error(`${scope}: unknown type ${name}`);
}

function parseField(message, field, text) {
  const match = /^(\d+) (repeated |optional )?(map<(\w+),\s*([\w.]+)>|[\w.]+)( oneof \w+)?$/.exec(text);
  if (!match) throw new Error(`${message}.${field}: cannot read ${text}`);
  const [, number, label, whole, mapKey, mapValue, oneof] = match;
  const base = (type) => {
    const mode = /^u?int64$/.test(type) && Object.keys(wide).find((key) => wide[key].test(`${message}.${field}`));
    const scalar = mode ? `${type}:${mode}` : type;
    if (scalarTypes[scalar]) return { wire: scalar, ts: scalarTypes[scalar], isMessage: false };
    const full = resolve(message, type);
    return { wire: typeName(full), ts: typeName(full), isMessage: messages[full] !== undefined };
  };
  const name = camelCase(field);
  if (mapValue) {
    const value = base(mapValue);
    return { name, number, wire: `map<${mapKey},${value.wire}>`, ts: `Readonly<Record<string, ${value.ts}>>`, optional: false };
  }
  const type = base(whole);
  if (label === "repeated ") return { name, number, wire: `${type.wire}[]`, ts: `readonly ${type.ts}[]`, optional: false };
  const explicit = !type.isMessage && (oneof !== undefined || label === "optional ");
  return { name, number, wire: explicit ? `${type.wire}?` : type.wire, ts: type.ts, optional: explicit || type.isMessage };
}

function renderMessages() {
  const types = [];
  const tables = [];
  // Well-known types join `messages` while fields are being read, so the keys are taken anew on every turn.
  for (let i = 0; i < Object.keys(messages).length; i++) {
    const message = Object.keys(messages)[i];
    const fields = Object.entries(messages[message]).map(([field, text]) => parseField(message, field, text));
    fields.sort((a, b) => a.number - b.number);
    const lines = fields.map((f) => `  readonly ${f.name}${f.optional ? "?" : ""}: ${f.ts};`);
    const empty = fields.length === 0;
    types.push(
      empty ? `export type ${typeName(message)} = EmptyMessage;` : `export interface ${typeName(message)} {\n${lines.join("\n")}\n}`,
    );
    tables.push(`    ${typeName(message)}: ${JSON.stringify(fields.map((f) => `${f.number} ${f.name} ${f.wire}`).join("; "))},`);
  }
  return { types, tables };
}

/** The service as its callers see it, and as those who implement it do. */
function renderService(name, methods) {
  const parsed = Object.entries(methods).map(([method, text]) => {
    const [, request, stream, response] = /^([\w.]+) -> (stream )?([\w.]+)$/.exec(text) ?? [];
    if (!response) throw new Error(`${name}.${method}: cannot read ${text}`);
    return {
      method: camelCase(method),
      request: typeName(request),
      response: typeName(response),
      result: stream ? "AsyncIterable" : "Promise",
    };
  });
  const calls = parsed.map((m) => `  ${m.method}(request: Input<${m.request}>, options?: CallOptions): ${m.result}<${m.response}>;`);
  const handlers = parsed.map((m) => `  ${m.method}?(request: ${m.request}, context: HandlerContext): ${m.result}<Input<${m.response}>>;`);
  return `export interface ${name} {\n${calls.join("\n")}\n}\n\n/** Methods left out answer UNIMPLEMENTED. */\nexport interface ${name}Handlers {\n${handlers.join("\n")}\n}`;
}

const constant = camelCase(basename(outPath, ".ts").replaceAll("-", "_"));
const importPath = relative(dirname(outPath), join(root, "src/rpc/protocol.ts"));
const { types, tables } = renderMessages();
const needsEmpty = types.some((type) => type.endsWith("= EmptyMessage;"));
const enumTypes = Object.entries(facts.enums).map(
  ([name, values]) =>
    `export type ${typeName(name)} =\n${Object.keys(values)
      .map((value) => `  | "${value}"`)
      .join("\n")};`,
);
const enumTables = Object.entries(facts.enums).map(([name, values]) => `    ${typeName(name)}: ${JSON.stringify(values)},`);

const text = `// Generated by scripts/generate-protocol.mjs from the facts of the protobuf package "${facts.package}": do not edit.
import type { CallOptions, ${needsEmpty ? "EmptyMessage, " : ""}HandlerContext, Input, ProtocolTable } from "${importPath}";

${enumTypes.join("\n\n")}

${types.join("\n\n")}

${Object.entries(facts.services)
  .map(([name, methods]) => renderService(name, methods))
  .join("\n\n")}

/** Field numbers and types of every message, for src/rpc/protobuf.ts. */
export const ${constant}: ProtocolTable = {
  package: ${JSON.stringify(facts.package)},
  services: ${JSON.stringify(Object.fromEntries(Object.entries(facts.services).map(([name, methods]) => [name, Object.fromEntries(Object.entries(methods).map(([method, signature]) => [method, signature.replace(/[\w.]+$/, typeName).replace(/^[\w.]+/, typeName)]))])), null, 2)},
  enums: {
${enumTables.join("\n")}
  },
  messages: {
${tables.join("\n")}
  },
};
`;
writeFileSync(outPath, text);
execFileSync("npx", ["biome", "check", "--write", outPath], { cwd: root, stdio: "inherit" });
