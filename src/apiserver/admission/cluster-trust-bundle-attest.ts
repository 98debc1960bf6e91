// ClusterTrustBundleAttest: whoever publishes trust anchors in the name of a signer needs the verb "attest" on it. Moving a
// bundle through storage or to the garbage collector is no attestation.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { Authorizer } from "../authz/authorizer.ts";
import type { AdmissionPlugin } from "./admission.ts";
import { isAllowedFor } from "./certificate-signers.ts";
import { refuse } from "./refusal.ts";

interface ClusterTrustBundle extends KubernetesObject {
  readonly spec?: { readonly signerName?: string };
}

export function createClusterTrustBundleAttest({ authorizer }: { readonly authorizer: Authorizer }): AdmissionPlugin {
  return {
    name: "ClusterTrustBundleAttest",
    handles: ({ operation, resource }) =>
      (operation === "CREATE" || operation === "UPDATE") &&
      resource.group === "certificates.k8s.io" &&
      resource.resource === "clustertrustbundles",
    async validate(request) {
      const bundle = request.object as ClusterTrustBundle;
      const signer = bundle.spec?.signerName ?? "";
      if (signer === "" || (request.oldObject && onlyGarbageFieldsDiffer(bundle, request.oldObject))) return;
      if (!(await isAllowedFor(authorizer, request.user, "attest", signer)))
        throw refuse(request, `user not permitted to attest for signerName ${JSON.stringify(signer)}`);
    },
  };
}

function onlyGarbageFieldsDiffer(a: KubernetesObject, b: KubernetesObject): boolean {
  const rest = ({ metadata, ...object }: KubernetesObject): unknown => {
    const { ownerReferences: _1, finalizers: _2, managedFields: _3, ...kept } = metadata;
    return { ...object, metadata: kept };
  };
  return semanticallyEqual(rest(a), rest(b));
}
