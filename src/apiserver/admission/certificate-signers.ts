// CertificateApproval, CertificateSigning and CertificateSubjectRestriction: who approves or signs a certificate signing
// request needs the verb "approve" or "sign" on its signer, and nobody gets a client certificate for system:masters.
import { isDeepStrictEqual } from "node:util";
import { certificatesigningrequests } from "../../api/resources.generated.ts";
import type { CertificateSigningRequest } from "../../api/types/certificates-v1.ts";
import { DerError } from "../../base/x509/der.ts";
import { parseSigningRequest, type SigningRequest } from "../../base/x509/signing-request.ts";
import type { UserInfo } from "../authn/user.ts";
import type { Authorizer } from "../authz/authorizer.ts";
import type { AdmissionPlugin, AdmissionRequest } from "./admission.ts";
import { isAbout, refuse } from "./refusal.ts";

export function createCertificateApproval({ authorizer }: { readonly authorizer: Authorizer }): AdmissionPlugin {
  return {
    name: "CertificateApproval",
    only: [certificatesigningrequests],
    handles: (request) => request.operation === "UPDATE" && isAbout(request, certificatesigningrequests, "approval"),
    async validate(request) {
      // Of the old object: the signer does not change, whatever the request says.
      const { signerName } = (request.oldObject as CertificateSigningRequest).spec;
      if (!(await isAllowedFor(authorizer, request.user, "approve", signerName)))
        throw refuse(request, `user not permitted to approve requests with signerName ${JSON.stringify(signerName)}`);
    },
  };
}

export function createCertificateSigning({ authorizer }: { readonly authorizer: Authorizer }): AdmissionPlugin {
  return {
    name: "CertificateSigning",
    only: [certificatesigningrequests],
    handles: (request) => request.operation === "UPDATE" && isAbout(request, certificatesigningrequests, "status"),
    async validate(request) {
      const old = request.oldObject as CertificateSigningRequest;
      const { status } = request.object as CertificateSigningRequest;
      const isSame =
        (old.status?.certificate ?? "") === (status?.certificate ?? "") &&
        isDeepStrictEqual(old.status?.conditions ?? [], status?.conditions ?? []);
      if (isSame) return;
      if (!(await isAllowedFor(authorizer, request.user, "sign", old.spec.signerName)))
        throw refuse(request, `user not permitted to sign requests with signerName ${JSON.stringify(old.spec.signerName)}`);
    },
  };
}

export function createCertificateSubjectRestriction(): AdmissionPlugin {
  return {
    name: "CertificateSubjectRestriction",
    only: [certificatesigningrequests],
    handles: (request) => request.operation === "CREATE" && isAbout(request, certificatesigningrequests),
    validate(request) {
      const { signerName } = (request.object as CertificateSigningRequest).spec;
      if (signerName !== "kubernetes.io/kube-apiserver-client") return;
      const parsed = readSigningRequest(request, (problem) => `failed to parse CSR: ${problem}`);
      if (parsed.subject.organizations.includes("system:masters"))
        throw refuse(request, `use of ${signerName} signer with system:masters group is not allowed`);
    },
  };
}

/** The PKCS#10 request in the object; refuses the request where it cannot be read. */
export function readSigningRequest(request: AdmissionRequest, explain: (problem: string) => string): SigningRequest {
  const { spec } = request.object as CertificateSigningRequest;
  const text = Buffer.from(spec.request, "base64").toString("latin1");
  if (!text.includes("-----BEGIN CERTIFICATE REQUEST-----")) throw refuse(request, explain("PEM block type must be CERTIFICATE REQUEST"));
  try {
    return parseSigningRequest(text);
  } catch (error) {
    if (error instanceof DerError) throw refuse(request, explain(error.message));
    throw error;
  }
}

/** The verb may be granted for the signer itself or for its whole domain, "example.com/*". */
export async function isAllowedFor(authorizer: Authorizer, user: UserInfo, verb: string, signerName: string): Promise<boolean> {
  for (const name of [signerName, `${signerName.split("/")[0]}/*`]) {
    const { decision } = await authorizer.authorize({
      user,
      verb,
      isResourceRequest: true,
      path: "",
      apiGroup: "certificates.k8s.io",
      apiVersion: "*",
      resource: "signers",
      subresource: "",
      namespace: "",
      name,
    });
    if (decision === "allow") return true;
  }
  return false;
}
