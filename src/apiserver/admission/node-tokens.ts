// What service-account tokens a node may ask for: bound to a pod that runs on it, for an audience that one of the pod's
// volumes uses, or that the node has been granted explicitly.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { notFound } from "../../api/meta/status-error.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import { csidrivers, persistentvolumeclaims, persistentvolumes, pods } from "../../api/resources.generated.ts";
import { migratedPluginOf } from "../../api/semantics/migrated-volumes.ts";
import type { TokenRequest } from "../../api/types/authentication-v1.ts";
import type { Pod, Volume } from "../../api/types/core-v1.ts";
import { goQuoted } from "../../base/go-quoted.ts";
import type { Authorizer } from "../authz/authorizer.ts";
import type { AdmissionReader, AdmissionRequest } from "./admission.ts";
import { joinProblems, refuse } from "./refusal.ts";

/** Throws 403 where the node may not have the token. */
export async function checkNodeToken(
  node: string,
  request: AdmissionRequest,
  deps: { readonly reader: AdmissionReader; readonly authorizer: Authorizer },
): Promise<void> {
  const { spec } = request.object as unknown as TokenRequest; // the object of this subresource
  const ref = spec?.boundObjectRef;
  if (ref?.apiVersion !== "v1" || ref.kind !== "Pod" || !ref.name) throw refuse(request, "node requested token not bound to a pod");
  if (!ref.uid) throw refuse(request, "node requested token with a pod binding without a uid");
  const pod = deps.reader.informer(pods).get(`${request.namespace}/${ref.name}`);
  if (!pod) throw notFound({ group: "", resource: "pod" }, ref.name);
  if (ref.uid !== pod.metadata.uid)
    throw refuse(
      request,
      `the UID in the bound object reference (${ref.uid}) does not match the UID in record. The object might have been deleted and then recreated`,
    );
  if (pod.spec?.nodeName !== node) throw refuse(request, "node requested token bound to a pod scheduled on a different node");
  await checkAudience(request, spec?.audiences ?? [], pod, deps);
}

async function checkAudience(
  request: AdmissionRequest,
  audiences: readonly string[],
  pod: Pod,
  { reader, authorizer }: { readonly reader: AdmissionReader; readonly authorizer: Authorizer },
): Promise<void> {
  if (audiences.length > 1) throw refuse(request, "node may only request 0 or 1 audiences");
  const audience = audiences[0] ?? "";
  const problems: string[] = [];
  const lookup = lookupIn(reader, problems);
  if ((pod.spec?.volumes ?? []).some((volume) => usesAudience(volume, pod, audience, lookup))) return;
  if (problems.length > 0) throw refuse(request, `error validating audience ${goQuoted(audience)}: ${joinProblems(problems)}`);
  const { decision, error } = await authorizer.authorize({
    user: request.user,
    verb: "request-serviceaccounts-token-audience",
    isResourceRequest: true,
    path: "",
    apiGroup: "",
    apiVersion: "v1",
    resource: audience,
    subresource: "",
    namespace: request.namespace,
    name: request.name,
  });
  if (decision === "allow") return;
  const why =
    error === undefined
      ? `${request.user.name} is not authorized to request tokens for this audience`
      : `error authorizing ${request.user.name} to request tokens for this audience: ${error}`;
  throw refuse(request, `audience ${goQuoted(audience)} not found in pod spec volume, ${why}`);
}

/** The object of this name, in a namespace where it is in one. */
type Lookup = <T extends KubernetesObject>(type: ResourceType<T>, name: string, namespace?: string) => T | undefined;

/** A look-up that adds to `problems` what there is none of; upstream's caches name a resource by its singular. */
function lookupIn(reader: AdmissionReader, problems: string[]): Lookup {
  return (type, name, namespace) => {
    const found = reader.informer(type).get(namespace === undefined ? name : `${namespace}/${name}`);
    if (!found) problems.push(notFound({ group: type.group, resource: type.singular }, name).message);
    return found;
  };
}

function usesAudience(volume: Volume, pod: Pod, audience: string, lookup: Lookup): boolean {
  if (volume.projected?.sources?.some((s) => s.serviceAccountToken && (s.serviceAccountToken.audience ?? "") === audience)) return true;
  const driver = driverOfVolume(volume, pod, lookup);
  if (!driver) return false;
  const requests = lookup(csidrivers, driver)?.spec.tokenRequests ?? [];
  return requests.some((r) => (r.audience ?? "") === audience);
}

/** The CSI driver behind a pod's volume, also where it has taken over from a plugin of the past. */
function driverOfVolume(volume: Volume, pod: Pod, lookup: Lookup): string | undefined {
  const claim = volume.ephemeral?.volumeClaimTemplate
    ? `${pod.metadata.name}-${volume.name}`
    : volume.persistentVolumeClaim && (volume.persistentVolumeClaim.claimName ?? "");
  if (claim === undefined) return volume.csi ? volume.csi.driver : migratedPluginOf(volume)?.driver;
  const bound = lookup(persistentvolumeclaims, claim, pod.metadata.namespace);
  if (!bound) return undefined;
  const { spec = {} } = lookup(persistentvolumes, bound.spec?.volumeName ?? "") ?? {};
  return spec.csi ? spec.csi.driver : migratedPluginOf(spec)?.driver;
}
