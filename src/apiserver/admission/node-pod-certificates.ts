// A node asks for certificates of its own pods only, in the name of the service account that the pod really runs as.
import { internalError } from "../../api/meta/status-error.ts";
import { nodes, pods, serviceaccounts } from "../../api/resources.generated.ts";
import type { PodCertificateRequest } from "../../api/types/certificates-v1beta1.ts";
import type { AdmissionReader, AdmissionRequest } from "./admission.ts";
import { refuse } from "./refusal.ts";

const q = JSON.stringify;
const mirrorAnnotation = "kubernetes.io/config.mirror";

/** Throws 403 where the request cannot be right, and 500 where this server may only not know yet. */
export function checkPodCertificateRequest(
  node: string,
  request: AdmissionRequest,
  { reader }: { readonly reader: AdmissionReader },
): void {
  const { operation, subresource, namespace } = request;
  if (operation !== "CREATE") throw refuse(request, `unexpected operation ${operation}`);
  if (subresource !== "") throw refuse(request, `unexpected subresource ${subresource}`);
  const { spec } = request.object as unknown as PodCertificateRequest; // the resource's objects
  const podKey = `${namespace}/${spec.podName}`;
  if (spec.nodeName !== node)
    throw refuse(request, `PodCertificateRequest.Spec.NodeName=${q(spec.nodeName)}, which is not the requesting node ${q(node)}`);
  const nodeUid = reader.informer(nodes).get(node)?.metadata.uid;
  if (nodeUid !== spec.nodeUID)
    throw unsure(
      `PodCertificateRequest for pod ${q(podKey)} names node UID ${q(spec.nodeUID)}, inconsistent with the running node (${q(nodeUid ?? "")})`,
    );
  const pod = reader.informer(pods).get(podKey);
  if (pod?.metadata.uid !== spec.podUID)
    throw unsure(
      `PodCertificateRequest for pod ${q(podKey)} contains pod UID (${q(spec.podUID)}) which differs from running pod ${q(pod?.metadata.uid ?? "")}`,
    );
  if (pod.spec.nodeName !== node)
    throw refuse(request, `pod ${q(podKey)} is not running on node ${q(node)} named in the PodCertificateRequest`);
  if (pod.metadata.annotations?.[mirrorAnnotation] !== undefined) throw refuse(request, `pod ${q(podKey)} is a mirror pod`);
  const { serviceAccountName: account = "" } = pod.spec;
  if (spec.serviceAccountName !== account)
    throw refuse(
      request,
      `PodCertificateRequest for pod ${q(podKey)} contains serviceAccountName (${q(spec.serviceAccountName)}) that differs from running pod (${q(account)})`,
    );
  const accountUid = reader.informer(serviceaccounts).get(`${namespace}/${account}`)?.metadata.uid;
  if (accountUid !== spec.serviceAccountUID)
    throw unsure(
      `PodCertificateRequest for pod ${q(podKey)} names service account UID ${q(spec.serviceAccountUID)}, which differs from the running service account (${q(accountUid ?? "")})`,
    );
}

const unsure = (message: string): Error => internalError(new Error(message));
