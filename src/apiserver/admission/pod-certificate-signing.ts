// Who answers a request for a pod's certificate needs the verb "sign" on its signer. Upstream has this among the rules of the
// status, after all others; here it is a hook that is always on.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import { forbiddenField } from "../../api/meta/field-error.ts";
import { invalid } from "../../api/meta/status-error.ts";
import { podcertificaterequestsV1beta1 } from "../../api/optional-resources.generated.ts";
import type { PodCertificateRequest } from "../../api/types/certificates-v1beta1.ts";
import type { Authorizer } from "../authz/authorizer.ts";
import type { AdmissionPlugin } from "./admission.ts";
import { isAllowedFor } from "./certificate-signers.ts";

export function podCertificateSigningCheck({ authorizer }: { readonly authorizer: Authorizer }): AdmissionPlugin {
  return {
    name: "PodCertificateSigning",
    only: [podcertificaterequestsV1beta1],
    handles: ({ operation, subresource }) => operation === "UPDATE" && subresource === "status",
    async validate({ user, resource, object, oldObject }) {
      const { status } = object as unknown as PodCertificateRequest;
      const old = oldObject as unknown as PodCertificateRequest;
      const { signerName } = old.spec;
      if (semanticallyEqual(status, old.status) || (await isAllowedFor(authorizer, user, "sign", signerName))) return;
      const [who, signer] = [JSON.stringify(user.name), JSON.stringify(signerName)];
      throw invalid(resource, old.metadata.name, [
        forbiddenField("spec.signerName", `User ${who} is not permitted to "sign" for signer ${signer}`),
      ]);
    },
  };
}
