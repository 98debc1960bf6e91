// OwnerReferencesPermissionEnforcement: an owner reference lets the garbage collector delete the object, so whoever sets one must
// be allowed to delete it; one that blocks its owner's deletion needs the right to set the owner's finalizers.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import type { OwnerReference } from "../../api/types/meta-v1.ts";
import type { AuthorizationAttributes, Authorizer } from "../authz/authorizer.ts";
import type { AdmissionPlugin, AdmissionRequest } from "./admission.ts";
import { refuse } from "./refusal.ts";
import type { ServedKinds } from "./webhooks/served-kinds.ts";

export interface OwnerReferencesDependencies {
  readonly authorizer: Authorizer;
  readonly kinds: Pick<ServedKinds, "resourcesOf">;
}

export function createOwnerReferencesPermission(deps: OwnerReferencesDependencies): AdmissionPlugin {
  return {
    name: "OwnerReferencesPermissionEnforcement",
    handles: (request) =>
      (request.operation === "CREATE" || request.operation === "UPDATE") &&
      // Old kubelets garble them there; the strategy of pods' status keeps those that are stored.
      !(request.resource.resource === "pods" && request.resource.group === "" && request.subresource === "status") &&
      changesOwners(request),
    async validate(request) {
      // Who creates something may as well have decided against it.
      if (request.operation !== "CREATE") await checkDeletion(deps, request);
      const blocking = newBlocking(ownersOf(request.object), ownersOf(request.oldObject));
      if (blocking.length === 0 || (await mayFinalizeAnything(deps, request))) return;
      for (const owner of blocking) await checkOwner(deps, request, owner);
    },
  };
}

const ownersOf = (object: KubernetesObject | undefined): readonly OwnerReference[] => object?.metadata?.ownerReferences ?? [];

function changesOwners({ object, oldObject }: AdmissionRequest): boolean {
  const [now, before] = [ownersOf(object), ownersOf(oldObject)];
  return now.length !== before.length || now.some((owner, i) => !semanticallyEqual(owner, before[i]));
}

function newBlocking(now: readonly OwnerReference[], before: readonly OwnerReference[]): readonly OwnerReference[] {
  const known = new Map(before.map((owner) => [owner.uid, owner.blockOwnerDeletion === true]));
  return now.filter((owner) => owner.blockOwnerDeletion === true && known.get(owner.uid) !== true);
}

type About = Pick<AuthorizationAttributes, "verb" | "apiGroup" | "apiVersion" | "resource" | "subresource" | "namespace" | "name">;

/** The reason why not, undefined where it is allowed. */
async function refusalOf(
  { authorizer }: OwnerReferencesDependencies,
  request: AdmissionRequest,
  about: About,
): Promise<string | undefined> {
  const { decision, reason } = await authorizer.authorize({ ...about, user: request.user, isResourceRequest: true, path: "" });
  return decision === "allow" ? undefined : reason;
}

async function checkDeletion(deps: OwnerReferencesDependencies, request: AdmissionRequest): Promise<void> {
  const { resource, subresource, namespace, name } = request;
  const { group: apiGroup, version: apiVersion, resource: plural } = resource;
  const reason = await refusalOf(deps, request, { verb: "delete", apiGroup, apiVersion, resource: plural, subresource, namespace, name });
  // The "<nil>" is upstream's, of an error that there is none of.
  if (reason !== undefined) throw refuse(request, `cannot set an ownerRef on a resource you can't delete: ${reason}, <nil>`);
}

async function mayFinalizeAnything(deps: OwnerReferencesDependencies, request: AdmissionRequest): Promise<boolean> {
  const anything = { apiGroup: "*", apiVersion: "*", resource: "*", subresource: "finalizers", namespace: "", name: "*" };
  return (await refusalOf(deps, request, { verb: "update", ...anything })) === undefined;
}

async function checkOwner(deps: OwnerReferencesDependencies, request: AdmissionRequest, owner: OwnerReference): Promise<void> {
  const { apiVersion, kind, name } = owner;
  const [group, version] = apiVersion.includes("/") ? apiVersion.split("/") : ["", apiVersion];
  const types = deps.kinds.resourcesOf({ group: group ?? "", version: version ?? "", kind });
  if (types.length === 0) {
    const why = `no matches for kind ${JSON.stringify(kind)} in version ${JSON.stringify(apiVersion)}`;
    throw refuse(
      request,
      `cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion ${apiVersion} Kind ${kind}: ${why}`,
    );
  }
  for (const type of types) {
    const reason = await refusalOf(deps, request, finalizersOf(type, request, name));
    if (reason === undefined) continue;
    const why = `cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: ${reason}, <nil>`;
    throw refuse(request, why);
  }
}

/** Owners are in the namespace of what they own. */
function finalizersOf(type: ResourceType, request: AdmissionRequest, name: string): About {
  const { group: apiGroup, version: apiVersion, resource, namespaced } = type;
  return {
    verb: "update",
    apiGroup,
    apiVersion,
    resource,
    subresource: "finalizers",
    namespace: namespaced ? request.namespace : "",
    name,
  };
}
