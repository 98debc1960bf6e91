// Policies read their parameters with the server's rights. So whoever writes a policy that takes parameters of a kind must
// be allowed to read all of that kind, and whoever binds a policy to parameters must be allowed to read those. Members of
// system:masters may write anything. Upstream has this in the storage of the kinds; here it is a hook that is always on.
import { forbiddenField } from "../../api/meta/field-error.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { invalid } from "../../api/meta/status-error.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import {
  builtInResources,
  customresourcedefinitions,
  mutatingadmissionpolicies,
  mutatingadmissionpolicybindings,
  validatingadmissionpolicies,
  validatingadmissionpolicybindings,
} from "../../api/resources.generated.ts";
import type { ParamKind, ParamRef } from "../../api/types/admissionregistration-v1.ts";
import type { UserInfo } from "../authn/user.ts";
import type { Authorizer } from "../authz/authorizer.ts";
import type { AdmissionPlugin, AdmissionReader, AdmissionRequest } from "./admission.ts";

export interface ParameterAccessDependencies {
  readonly reader: AdmissionReader;
  readonly authorizer: Authorizer;
}

const policies: readonly ResourceType<KubernetesObject>[] = [validatingadmissionpolicies, mutatingadmissionpolicies];
const bindings: readonly ResourceType<KubernetesObject>[] = [validatingadmissionpolicybindings, mutatingadmissionpolicybindings];
const group = validatingadmissionpolicies.group;

export function parameterAccessCheck(deps: ParameterAccessDependencies): AdmissionPlugin {
  return {
    name: "ParameterAccess",
    handles: ({ resource, subresource, operation }) =>
      resource.group === group && subresource === "" && (operation === "CREATE" || operation === "UPDATE"),
    async validate(request) {
      if (request.user.groups.includes("system:masters")) return;
      const named = (type: ResourceType<KubernetesObject>): boolean => type.resource === request.resource.resource;
      if (policies.some(named)) await checkPolicy(request, deps);
      else if (bindings.some(named)) await checkBinding(request, deps, policies[bindings.findIndex(named)] ?? validatingadmissionpolicies);
    },
  };
}

interface PolicySpec {
  readonly spec?: { readonly paramKind?: ParamKind };
}

interface BindingSpec {
  readonly spec?: { readonly policyName?: string; readonly paramRef?: ParamRef };
}

/** What is read, as authorization names it; "*" for what is not known. */
interface ReadResource {
  readonly apiGroup: string;
  readonly apiVersion: string;
  readonly resource: string;
  /** Why it is not known. */
  readonly unknown?: string;
}

async function checkPolicy(request: AdmissionRequest, deps: ParameterAccessDependencies): Promise<void> {
  const { paramKind } = (request.object as PolicySpec).spec ?? {};
  const before = (request.oldObject as PolicySpec | undefined)?.spec?.paramKind;
  if (!paramKind || (before && before.apiVersion === paramKind.apiVersion && before.kind === paramKind.kind)) return;
  const read = resourceOf(paramKind, deps.reader);
  if (await mayRead(deps.authorizer, request.user, read, { verb: "get", name: "*", namespace: "*" })) return;
  const { kind = "", apiVersion = "" } = paramKind;
  refuse(
    request,
    "spec.paramKind",
    `user ${goUser(request.user)} must have "get" permission on all objects of the referenced paramKind (kind=${kind}, apiVersion=${apiVersion})`,
  );
}

async function checkBinding(
  request: AdmissionRequest,
  deps: ParameterAccessDependencies,
  policyType: ResourceType<KubernetesObject>,
): Promise<void> {
  const { paramRef, policyName = "" } = (request.object as BindingSpec).spec ?? {};
  const before = (request.oldObject as BindingSpec | undefined)?.spec;
  if (!paramRef || (before?.policyName === policyName && JSON.stringify(before.paramRef) === JSON.stringify(paramRef))) return;
  const { name = "", namespace = "" } = paramRef;
  const verb = name === "" ? "list" : "get";
  const policy = deps.reader.informer(policyType).get(policyName) as PolicySpec | undefined;
  const paramKind = policy?.spec?.paramKind;
  const anything = { apiGroup: "*", apiVersion: "*", resource: "*" };
  const read: ReadResource = policy
    ? paramKind
      ? resourceOf(paramKind, deps.reader)
      : anything
    : { ...anything, unknown: `unable to get policy ${policyName} to determine minimum required permissions and` };
  if (await mayRead(deps.authorizer, request.user, read, { verb, name, namespace })) return;
  const user = `user ${goUser(request.user)} does not have "${verb}" permission`;
  const detail = read.unknown
    ? `${read.unknown} ${user} for all groups, versions and resources`
    : `${user} on the object referenced by paramRef`;
  refuse(request, "spec.paramRef", detail);
}

/** The resource of a kind, among those this server has and the custom ones. */
function resourceOf({ apiVersion = "", kind = "" }: ParamKind, reader: AdmissionReader): ReadResource {
  const slash = apiVersion.indexOf("/");
  const [apiGroup, version] = [apiVersion.slice(0, Math.max(slash, 0)), apiVersion.slice(slash + 1)];
  const builtIn = builtInResources.find((type) => type.group === apiGroup && type.version === version && type.kind === kind);
  if (builtIn) return { apiGroup, apiVersion: version, resource: builtIn.resource };
  for (const { spec } of reader.informer(customresourcedefinitions).list())
    if (spec.group === apiGroup && spec.names.kind === kind) return { apiGroup, apiVersion: version, resource: spec.names.plural };
  const unknown = `unable to resolve paramKind &{${apiVersion} ${kind}} to determine minimum required permissions and`;
  return { apiGroup, apiVersion: version, resource: "*", unknown };
}

async function mayRead(
  authorizer: Authorizer,
  user: UserInfo,
  { apiGroup, apiVersion, resource }: ReadResource,
  what: { readonly verb: string; readonly name: string; readonly namespace: string },
): Promise<boolean> {
  const question = { user, isResourceRequest: true, path: "", apiGroup, apiVersion, resource, subresource: "", ...what };
  return (await authorizer.authorize(question)).decision === "allow";
}

/** A user as upstream prints one here: the bare fields of a Go structure. */
function goUser({ name, uid = "", groups, extra = {} }: UserInfo): string {
  const entries = Object.entries(extra)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, values]) => `${key}:[${values.join(" ")}]`);
  return `&{${name} ${uid} [${groups.join(" ")}] map[${entries.join(" ")}]}`;
}

function refuse(request: AdmissionRequest, field: string, detail: string): never {
  throw invalid(request.resource, request.object?.metadata.name ?? "", [forbiddenField(field, detail)]);
}
