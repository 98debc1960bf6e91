#!/usr/bin/env node
// Generates src/api/schema/wire-facts.generated.ts: how fields are written that the OpenAPI facts do not tell. Which
// optional scalars are pointers (an explicit zero is kept), which fields are written though absent, and the names of types
// as they stand in decoding errors. Its input is upstream's API modules (k8s.io/api and so on, one folder each):
//
//   node --import ./scripts/ts-loader.mjs scripts/generate-go-facts.mjs K8S_IO_DIR
//
// Its output is committed: only whoever moves the project to another Kubernetes version runs this.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tables } from "../src/api/schema/generated/all.ts";
import { optionalTables } from "../src/api/schema/generated/optional.ts";

const [source] = process.argv.slice(2);
if (!source) {
  console.error("usage: generate-go-facts.mjs K8S_IO_DIR");
  process.exit(2);
}

/** "core-v1" -> the folder of its Go package. */
function packageDir(module) {
  if (module === "meta-v1") return "apimachinery/pkg/apis/meta/v1";
  if (module === "apiextensions-v1") return "apiextensions-apiserver/pkg/apis/apiextensions/v1";
  if (module === "apiregistration-v1") return "kube-aggregator/pkg/apis/apiregistration/v1";
  if (module === "version") return "apimachinery/pkg/version";
  return `api/${module.replace("-", "/")}`;
}

const packages = new Map();
/** The types of a Go package: structs with their fields, everything else with its text. */
function readPackage(module) {
  if (packages.has(module)) return packages.get(module);
  const types = new Map();
  packages.set(module, types);
  const dir = join(source, packageDir(module));
  if (!existsSync(dir)) return types;
  for (const file of readdirSync(dir).filter((f) => f.endsWith(".go") && !/^(zz_|generated)|_test\.go$/.test(f))) {
    const text = readFileSync(join(dir, file), "utf8");
    for (const [, name, body] of text.matchAll(/^type (\w+) struct \{\n([\s\S]*?)^\}/gm)) types.set(name, { fields: readFields(body) });
    for (const [, name, text_] of text.matchAll(/^type (\w+) (?!struct\b|interface\b)([\w.[\]*]+)/gm)) types.set(name, { alias: text_ });
  }
  return types;
}

function readFields(body) {
  const fields = [];
  for (const line of body.split("\n")) {
    const match = /^\s*(?:(\w+)\s+)?([\w.*[\]]+)\s+`(?:[^`]*\s)?json:"([^"]*)"/.exec(line);
    if (!match || line.trim().startsWith("//")) continue;
    const [json, ...options] = match[3].split(",");
    fields.push({
      go: match[1],
      type: match[2],
      json,
      inline: options.includes("inline"),
      omitempty: options.includes("omitempty"),
      omitzero: options.includes("omitzero"),
    });
  }
  return fields;
}

const imported = { metav1: "meta-v1", v1: "core-v1", corev1: "core-v1", apiv1: "core-v1", autoscalingv1: "autoscaling-v1" };

function allFields(module, name) {
  const struct = readPackage(module).get(name);
  return (struct?.fields ?? []).flatMap((f) => {
    if (!f.inline || f.json !== "") return f.json === "-" ? [] : [{ ...f, module }];
    const type = f.type.replace("*", "");
    const [pkg, local] = type.includes(".") ? type.split(".") : [undefined, type];
    return allFields(pkg ? imported[pkg] : module, local);
  });
}

const builtIn = new Set(["string", "bool", "int", "int32", "int64", "float64", "uint8"]);
/** A type as reflection prints it. */
function goText(type, module) {
  if (type.startsWith("*")) return goText(type.slice(1), module);
  if (type.startsWith("[]")) return `[]${goText(type.slice(2), module)}`;
  const map = /^map\[([\w.]+)\](.*)$/.exec(type);
  if (map) return `map[${goText(map[1], module)}]${goText(map[2], module)}`;
  if (type === "byte") return "uint8";
  if (builtIn.has(type)) return type;
  if (type.includes(".")) {
    const [pkg, name] = type.split(".");
    return `${imported[pkg] ? "v1" : pkg}.${name}`;
  }
  return `${module.split("-").at(-1)}.${type}`;
}

/** What the schema alone suggests. */
function derivedText(type) {
  const scalars = {
    string: "string",
    "string:byte": "[]uint8",
    boolean: "bool",
    "integer:int32": "int32",
    "integer:int64": "int64",
    "number:double": "float64",
  };
  if (type.startsWith("[")) return `[]${derivedText(type.slice(1, -1))}`;
  if (type.startsWith("{")) return `map[string]${derivedText(type.slice(1, -1))}`;
  const [module, name] = type.split(".");
  return scalars[type] ?? `${module.split("-").at(-1).replace("quantity", "resource")}.${name}`;
}

const isScalar = (type) =>
  /^(string|boolean|integer|number)/.test(type) ||
  ["quantity.Quantity", "intstr.IntOrString", "meta-v1.Time", "meta-v1.MicroTime"].includes(type);
const entries = [];
let missing = 0;
for (const [module, table] of Object.entries({ ...tables, ...optionalTables })) {
  for (const [name, facts] of Object.entries(table)) {
    const known = new Map(allFields(module, name).map((f) => [f.json, f]));
    const row = {};
    for (const [field, f] of Object.entries(facts.fields ?? {})) {
      const go = known.get(field);
      if (!go) {
        if (field !== "apiVersion" && field !== "kind") missing++;
        continue;
      }
      const type = typeof f === "string" ? f : f.type;
      const pointer = go.type.startsWith("*");
      const list = type.startsWith("[") || type.startsWith("{") || type === "string:byte";
      const required = facts.required?.includes(field) ?? false;
      const struct = !list && !isScalar(type);
      let flags = "";
      if (pointer && !list) flags += "*";
      if (go.omitzero) flags += "z";
      if (!go.omitempty && !required) flags += "!";
      if (go.omitempty && required) flags += "?";
      const expectedPointer = struct && !(typeof f === "object" && f.default !== undefined);
      if (struct && pointer === expectedPointer) flags = flags.replace("*", "");
      else if (struct && !pointer) flags += "s";
      const text = goText(go.type, go.module);
      const named = text === derivedText(type) ? "" : text;
      if (flags !== "" || named !== "") row[field] = named === "" ? flags : `${flags} ${named}`;
    }
    if (Object.keys(row).length > 0) entries.push(`  ${JSON.stringify(`${module}.${name}`)}: ${JSON.stringify(row)},`);
  }
}
const banner = `// Generated by scripts/generate-go-facts.mjs from the Kubernetes v1.36 API modules. Do not edit.
// By type and field: flags, then the type's name in decoding errors where it is not the schema's. Flags: "*" keeps an
// explicit zero, "!" is written though optional and absent, "?" is left out though required, "z" is left out when zero,
// "s" is a struct that is always written.
`;
writeFileSync(
  new URL("../src/api/schema/wire-facts.generated.ts", import.meta.url),
  `${banner}export const wireFacts: Readonly<Record<string, Readonly<Record<string, string>>>> = {\n${entries.join("\n")}\n};\n`,
);
console.log(`${entries.length} types, ${missing} fields not found in the source`);
