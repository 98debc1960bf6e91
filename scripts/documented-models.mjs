// Reads the documentation of API types from the declarations of kubernetes-models, which are made from the OpenAPI documents of
// the same Kubernetes release: the words of every type and field with their paragraphs, and what each value of an enum means.
// It has the stable versions only, and says nothing about kind and apiVersion.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Folders of modules: "core-v1" is v1, "rbac-v1" rbac.authorization.k8s.io/v1. */
const groupFolders = {
  core: "",
  apps: "apps",
  autoscaling: "autoscaling",
  batch: "batch",
  policy: "policy",
  flowcontrol: "flowcontrol.apiserver.k8s.io",
  rbac: "rbac.authorization.k8s.io",
};
const machineryFolders = {
  "meta-v1": "apis/meta/v1",
  quantity: "api/resource",
  intstr: "util/intstr",
  runtime: "runtime",
  version: "version",
};

/** A function from module and name of a type ("core-v1", "Pod") to { description, fields }, or undefined. */
export function documentedModels(nodeModules) {
  return (module, name) => {
    const file = join(nodeModules, folderOf(module), `${name}.d.ts`);
    return existsSync(file) ? parsed(readFileSync(file, "utf8")) : undefined;
  };
}

function folderOf(module) {
  const machinery = machineryFolders[module];
  if (machinery) return join("@kubernetes-models/apimachinery", machinery);
  const [group, version] = module.split("-");
  return join("kubernetes-models", groupFolders[group] ?? `${group}.k8s.io`, version ?? "");
}

const commented = String.raw`(?:\/\*\*\n((?:\s*\*(?!\/).*\n)+)\s*\*\/\n\s*)?`;
const declaration = new RegExp(`${commented}export (?:interface|type) \\w+[^{=]*([{=][\\s\\S]*)`);
const field = new RegExp(`\\n    ${commented}"([^"]+)"\\??:`, "g");

function parsed(source) {
  const [, about, body] = declaration.exec(source) ?? [];
  const end = body?.indexOf("\n}\n") ?? -1;
  const fields = {};
  for (const [, words, name] of (end < 0 ? "" : body.slice(0, end)).matchAll(field)) if (words) fields[name] = text(words);
  return { description: about ? text(about) : "", fields };
}

/** A comment's words; the generator escapes stars, and adds a tag of its own. */
function text(comment) {
  const lines = comment.split("\n").map((line) => line.replace(/^\s*\* ?/, ""));
  return lines
    .join("\n")
    .trim()
    .replace(/\n@deprecated$/, "")
    .replaceAll("*\\/", "*/")
    .replaceAll("\\*", "*");
}
