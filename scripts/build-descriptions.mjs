#!/usr/bin/env node
// Extracts the descriptions of all API types and fields from the doc comments of two packages that are generated from the same
// Kubernetes release into one JSON file, which the API server's OpenAPI documents read: kubernetes-models, and for what that
// one has not (versions that are not stable, parameters) @kubernetes/client-node, whose comments have lost their paragraphs:
//
//   node scripts/build-descriptions.mjs [dist/openapi-descriptions.json]
//
// The file maps "core-v1.Pod" to [description, { field: description }], and "parameters.list" to those of the parameters of
// lists. The packages are needed at build time only.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { documentedModels } from "./documented-models.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const models = join(root, "node_modules/@kubernetes/client-node/dist/gen/models");

/** Writes `target` and resolves with the number of types it describes. */
export async function buildDescriptions(target = join(root, "dist/openapi-descriptions.json")) {
  const descriptions = {};
  const documented = documentedModels(join(root, "node_modules"));
  let described = 0;
  const missing = [];
  for (const [module, table] of Object.entries(await readTables())) {
    for (const [name, facts] of Object.entries(table)) {
      const model = together(documented(module, name), findModel(module, name, facts.fields ?? {}));
      if (!model) {
        missing.push(`${module}.${name}`);
        continue;
      }
      described++;
      descriptions[`${module}.${name}`] = [model.description, model.fields];
    }
  }
  Object.assign(descriptions, describeParameters());
  if (described < 400)
    throw new Error(`only ${described} types were found in ${models} (not: ${missing.join(", ")}): has the package changed?`);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, JSON.stringify(descriptions));
  return described;
}

/** A type's words of two sources: the first one's go before the second one's. */
function together(first, second) {
  if (!first || !second) return first ?? second;
  return { description: first.description || second.description, fields: { ...second.fields, ...first.fields } };
}

/** Operations whose parameters are described, each by one that has them. */
const operations = {
  list: "listNamespacedPod",
  create: "createNamespacedPod",
  patch: "patchNamespacedPod",
  delete: "deleteNamespacedPod",
  "pods/exec": "connectGetNamespacedPodExec",
  "pods/attach": "connectGetNamespacedPodAttach",
  "pods/portforward": "connectGetNamespacedPodPortforward",
  "pods/proxy": "connectGetNamespacedPodProxy",
  "services/proxy": "connectGetNamespacedServiceProxy",
  "nodes/proxy": "connectGetNodeProxy",
  "pods/log": "readNamespacedPodLog",
};

function describeParameters() {
  const source = readFileSync(join(root, "node_modules/@kubernetes/client-node/dist/gen/apis/CoreV1Api.d.ts"), "utf8");
  const described = {};
  for (const [key, method] of Object.entries(operations)) {
    const at = source.indexOf(`    ${method}(`);
    if (at < 0) throw new Error(`no operation ${method} in the API of @kubernetes/client-node: has the package changed?`);
    const comment = source.slice(source.lastIndexOf("/**", at), at);
    const parameters = [...comment.matchAll(/@param _?(\w+) (.+)/g)].map(([, name, words]) => [name, unescaped(words)]);
    described[`parameters.${key}`] = ["", Object.fromEntries(parameters)];
  }
  return described;
}

const entities = { "&quot;": '"', "&#39;": "'", "&#x60;": "`", "&#x3D;": "=", "&lt;": "<", "&gt;": ">", "&amp;": "&" };
/** Undoes the generator's escapes; two blanks after a sentence were a blank line. */
function unescaped(words) {
  const text = words.trim().replace(/\\?(&#?\w+;)/g, (all, entity) => entities[entity] ?? all);
  return text.replace(/(?<=[.:]) {2,}(?=[A-Z`])/g, "\n\n");
}

/** The generated tables hold one JSON object each: "export const table: TypeTable = {…};". */
async function readTables() {
  const folder = join(root, "src/api/schema/generated");
  const tables = {};
  for (const file of readdirSync(folder)) {
    const source = readFileSync(join(folder, file), "utf8");
    const body = /export const table: TypeTable = (\{[\s\S]*\});/.exec(source)?.[1];
    if (body) tables[file.replace(/\.ts$/, "")] = JSON.parse(body.replace(/,\n\}$/, "\n}"));
  }
  return tables;
}

/** The package's class for a type: names that exist in several groups carry the group, "CoreV1Event", the others do not. */
function findModel(module, name, facts) {
  const fields = Object.keys(facts);
  const [group = "", version = ""] = module.split("-");
  const capital = (word) => word[0].toUpperCase() + word.slice(1);
  const v = version === "" ? "" : capital(version);
  for (const candidate of [`${capital(group)}${v}${name}`, `${v}${name}`, `${capital(group)}${name}`]) {
    const file = join(models, `${candidate}.d.ts`);
    if (!existsSync(file)) continue;
    const model = parseModel(readFileSync(file, "utf8"));
    const known = new Set(Object.keys(model.types));
    if (fields.every((f) => generated(f, known))) {
      const described = fields
        .map((f) => [f, model.fields[generated(f, known)]])
        .filter(([f, description]) => description && !isTypes(description, facts[f]));
      return { description: model.description, fields: Object.fromEntries(described) };
    }
  }
  return undefined;
}

/** For some fields without a description the generator repeats that of their type: "JSONSchemaPropsOrBool represents …". */
function isTypes(description, facts) {
  const type = /\.(\w+)[\]}]*$/.exec(facts.type ?? facts)?.[1];
  return type !== undefined && description.startsWith(`${type} represents`);
}

/** The generator renames fields that are words of the language or no identifiers: "_default", "ref" for "$ref". */
const generated = (field, known) => [field, `_${field}`, field.replace("$", ""), field.replace(/-/g, "_")].find((name) => known.has(name));

function parseModel(source) {
  const description = text(/\/\*\*\n((?:\s*\*[^\n]*\n)+?)\s*\*\/\nexport declare class/.exec(source)?.[1]);
  const fields = {};
  const types = {};
  for (const [, comment, name] of source.matchAll(/(?:\/\*\*\n((?:\s*\* [^\n]*\n)+)\s*\*\/\n)?\s*'([^']+)'\??:/g)) {
    if (name in types) continue;
    types[name] = true;
    const described = text(comment);
    if (described) fields[name] = described;
  }
  return { description, fields, types };
}

/** Undoes the generator's escapes; two blanks before a list were a blank line. */
function text(comment) {
  return (comment ?? "")
    .split("\n")
    .map((line) => line.replace(/^\s*\* ?/, ""))
    .join("\n")
    .trim()
    .replace(/\\(['"`\\])/g, "$1")
    .replace(/ {2,}(?=[-*] )/g, "\n\n");
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const count = await buildDescriptions(process.argv[2]);
  console.log(`described ${count} types`);
}
