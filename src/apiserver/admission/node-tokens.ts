// What service-account tokens a node may ask for: bound to a pod that runs on it, for an audience that one of the pod's
// volumes uses, or that the node has been granted explicitly.
import { notFound } from "../../api/meta/status-error.ts";
import { csidrivers, persistentvolumeclaims, persistentvolumes, pods } from "../../api/resources.generated.ts";
import type { TokenRequest } from "../../api/types/authentication-v1.ts";
import type { Pod, Volume } from "../../api/types/core-v1.ts";
import type { Authorizer } from "../authz/authorizer.ts";
import type { AdmissionReader, AdmissionRequest } from "./admission.ts";
import { refuse } from "./refusal.ts";

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
  if ((pod.spec?.volumes ?? []).some((volume) => usesAudience(volume, pod, audience, reader))) return;
  const { decision } = await authorizer.authorize({
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
  if (decision !== "allow")
    throw refuse(
      request,
      `audience ${JSON.stringify(audience)} not found in pod spec volume, ${request.user.name} is not authorized to request tokens for this audience`,
    );
}

function usesAudience(volume: Volume, pod: Pod, audience: string, reader: AdmissionReader): boolean {
  if (volume.projected?.sources?.some((s) => s.serviceAccountToken && (s.serviceAccountToken.audience ?? "") === audience)) return true;
  const driver = volume.csi?.driver ?? driverOfClaim(volume, pod, reader);
  const requests = driver === undefined ? [] : (reader.informer(csidrivers).get(driver)?.spec.tokenRequests ?? []);
  return requests.some((r) => (r.audience ?? "") === audience);
}

function driverOfClaim(volume: Volume, pod: Pod, reader: AdmissionReader): string | undefined {
  const claimName = volume.persistentVolumeClaim?.claimName ?? (volume.ephemeral ? `${pod.metadata.name}-${volume.name}` : undefined);
  if (claimName === undefined) return undefined;
  const claim = reader.informer(persistentvolumeclaims).get(`${pod.metadata.namespace ?? ""}/${claimName}`);
  return reader.informer(persistentvolumes).get(claim?.spec?.volumeName ?? "")?.spec?.csi?.driver;
}
