// The parameter objects of a binding: one by name, or all that a selector finds, read from the watch cache of their kind. A
// policy runs once for each of them; one that takes no parameters, or is bound without, runs once for none.
import type { KubernetesObject } from "../../../api/meta/object.ts";
import { labelMatcher } from "../../../api/meta/selectors.ts";
import { apiVersionOf, type ResourceType } from "../../../api/resource-type.ts";
import type { ParamKind, ParamRef } from "../../../api/types/admissionregistration-v1.ts";
import type { Informer } from "../../../client/informer.ts";
import type { AdmissionReader } from "../admission.ts";
import type { ServedKinds } from "../webhooks/served-kinds.ts";

/** A policy or binding that cannot be used as it is: the failure policy decides. */
export class ConfigurationProblem extends Error {}

export interface ParamDependencies {
  readonly reader: AdmissionReader;
  readonly kinds: ServedKinds;
}

/** The resource of a kind of parameters; undefined where the policy takes none. Throws ConfigurationProblem. */
export function paramType({ kinds }: ParamDependencies, kind: ParamKind | undefined): ResourceType<KubernetesObject> | undefined {
  if (!kind) return undefined;
  const { apiVersion = "", kind: name = "" } = kind;
  const slash = apiVersion.indexOf("/");
  const [group, version] = slash < 0 ? ["", apiVersion] : [apiVersion.slice(0, slash), apiVersion.slice(slash + 1)];
  const [type] = kinds.resourcesOf({ group, version, kind: name });
  const shown = `${group}/${version}, Kind=${name}`;
  if (!type) throw new ConfigurationProblem(`failed to find resource referenced by paramKind: '${shown}'`);
  return type as ResourceType<KubernetesObject>; // the type of the objects is a matter of types only
}

export interface ParamQuery {
  readonly type: ResourceType<KubernetesObject> | undefined;
  readonly paramRef: ParamRef | undefined;
  /** Of the request. */
  readonly namespace: string;
  readonly signal: AbortSignal;
}

/** Throws ConfigurationProblem. */
export async function findParams(
  { reader }: ParamDependencies,
  { type, paramRef, namespace, signal }: ParamQuery,
): Promise<readonly (KubernetesObject | undefined)[]> {
  if (!type || !paramRef) return [undefined];
  const where = namespaceOfParams(type, paramRef, namespace);
  const informer = reader.informer(type);
  if (!informer.hasSynced) await informer.synced(signal);
  const found = select(informer, paramRef, where).map((object) => ({ ...object, apiVersion: apiVersionOf(type), kind: type.kind }));
  if (found.length === 0 && paramRef.parameterNotFoundAction === "Deny")
    throw new ConfigurationProblem("no params found for policy binding with `Deny` parameterNotFoundAction");
  return found;
}

/** "" for all of a cluster. */
function namespaceOfParams({ namespaced }: ResourceType, { namespace = "" }: ParamRef, ofRequest: string): string {
  if (!namespaced) {
    if (namespace !== "") throw new ConfigurationProblem("paramRef.namespace must not be provided for a cluster-scoped `paramKind`");
    return "";
  }
  const where = namespace || ofRequest;
  if (where === "")
    throw new ConfigurationProblem("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources");
  return where;
}

function select(informer: Informer<KubernetesObject>, { name = "", selector }: ParamRef, namespace: string): readonly KubernetesObject[] {
  if (name !== "") {
    if (selector) throw new ConfigurationProblem("paramRef.name and paramRef.selector are mutually exclusive");
    const found = informer.get(namespace === "" ? name : `${namespace}/${name}`);
    return found ? [found] : [];
  }
  if (!selector) throw new ConfigurationProblem("one of name or selector must be provided");
  const matcher = labelMatcher(selector);
  const candidates = namespace === "" ? [...informer.list()] : informer.inNamespace(namespace);
  return candidates
    .filter(({ metadata }) => matcher.matches(metadata.labels))
    .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}
