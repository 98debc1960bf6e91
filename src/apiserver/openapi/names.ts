// Names in OpenAPI documents: "core-v1.Pod" is the model io.k8s.api.core.v1.Pod, its operations end in CoreV1, its tag is
// core_v1.
import type { GroupVersionKind } from "../../api/resource-type.ts";
import { factsOf } from "../../api/schema/schema.ts";

const packages: Readonly<Record<string, string>> = {
  "meta-v1": "io.k8s.apimachinery.pkg.apis.meta.v1",
  "apiextensions-v1": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1",
  "apiregistration-v1": "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1",
  quantity: "io.k8s.apimachinery.pkg.api.resource",
  runtime: "io.k8s.apimachinery.pkg.runtime",
  intstr: "io.k8s.apimachinery.pkg.util.intstr",
  version: "io.k8s.apimachinery.pkg.version",
};

const customPrefix = "custom:";

/** How the kind of a custom resource stands among the names of types: "custom:com.example.v1.Widget". */
export function customTypeName({ group, version, kind }: GroupVersionKind): string {
  return `${customPrefix}${group.split(".").reverse().join(".")}.${version}.${kind}`;
}

export const isCustomTypeName = (type: string): boolean => type.startsWith(customPrefix);

/** The model's name of a type in the schema tables, or of a custom one, which makes way for one that is built in. */
export function modelName(type: string): string {
  if (isCustomTypeName(type)) {
    const name = type.slice(customPrefix.length);
    return isBuiltInModel(name) ? `${name}_v2` : name;
  }
  const dot = type.lastIndexOf(".");
  const module = type.slice(0, dot);
  return `${packages[module] ?? `${apiPackage}${module.replace("-", ".")}`}.${type.slice(dot + 1)}`;
}

const apiPackage = "io.k8s.api.";

/** The way back from a model's name to the tables. */
function isBuiltInModel(name: string): boolean {
  if (!name.startsWith("io.k8s.")) return false;
  const dot = name.lastIndexOf(".");
  const [of, type] = [name.slice(0, dot), name.slice(dot + 1)];
  const module =
    Object.keys(packages).find((each) => packages[each] === of) ??
    (of.startsWith(apiPackage) ? of.slice(apiPackage.length).replace(".", "-") : undefined);
  return module !== undefined && factsOf(`${module}.${type}`) !== undefined;
}

/** "CoreV1", "AppsV1", "RbacAuthorizationV1": the middle of operation ids. */
export function operationSuffix(group: string, version: string): string {
  return `${groupWords(group).map(capital).join("")}${capital(version)}`;
}

/** "core_v1", "rbacAuthorization_v1". */
export function tagOf(group: string, version: string): string {
  const [first = "", ...rest] = groupWords(group);
  return `${first}${rest.map(capital).join("")}_${version}`;
}

function groupWords(group: string): string[] {
  return group === "" ? ["core"] : group.replace(/\.k8s\.io$/, "").split(".");
}

export function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
