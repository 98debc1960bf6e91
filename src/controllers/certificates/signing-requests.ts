// certificatesigningrequest-approving-, -signing- and -cleaner-controller: kubelets' requests for client certificates are
// approved where whoever made them may have them, approved requests to Kubernetes' own signers are signed by the cluster's
// authority, and requests that are dealt with, or that nobody deals with, are removed after a while.
import { bytesOfBase64, encodeBase64 } from "../../api/meta/base64.ts";
import { keyOf } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { parseTime } from "../../api/meta/time.ts";
import { certificatesigningrequests, subjectaccessreviews } from "../../api/resources.generated.ts";
import { isConditionTrue } from "../../api/semantics/conditions.ts";
import type { CertificateSigningRequest, CertificateSigningRequestCondition } from "../../api/types/certificates-v1.ts";
import { formatTime } from "../../base/clock.ts";
import { certificateFromPem, certificatePem, issueCertificate, type KeyedCertificate } from "../../base/x509/certificate.ts";
import { DerError } from "../../base/x509/der.ts";
import { parseSigningRequest } from "../../base/x509/signing-request.ts";
import { type RequeueAfter, TerminalError } from "../../client/work-queue.ts";
import { type Controller, type ControllerContext, watch } from "../controller.ts";
import { type Asked, certificateFor, flawOf, isKnownSigner, kubeletClientFlaw, kubeletClientSigner } from "./signers.ts";

const serviceAccount = "certificate-controller";
const hourMs = 3_600_000;
const yearMs = 365 * 24 * hourMs;

type Handler = (
  context: ControllerContext,
  request: CertificateSigningRequest,
  signal: AbortSignal,
) => Promise<RequeueAfter | undefined> | RequeueAfter | undefined;

/** A controller of certificate signing requests. */
export function requestController(name: string, handle: Handler): Controller {
  return {
    name,
    serviceAccount,
    create(context) {
      const informer = context.informers.informer(certificatesigningrequests);
      return {
        watches: [watch(informer, (request) => [keyOf(request)])],
        async reconcile(key, { signal }) {
          const request = informer.get(key);
          return request && handle(context, request, signal);
        },
      };
    },
  };
}

/** In the order in which they are tried: for a kubelet's own certificate, and for that of any node. */
const approvals = [
  {
    subresource: "selfnodeclient",
    isMeant: ({ spec }: CertificateSigningRequest, { request }: Asked) => spec.username === request.subject.commonName,
    message: "Auto approving self kubelet client certificate after SubjectAccessReview.",
  },
  {
    subresource: "nodeclient",
    isMeant: () => true,
    message: "Auto approving kubelet client certificate after SubjectAccessReview.",
  },
];

export const signingRequestApprover: Controller = requestController(
  "certificatesigningrequest-approving-controller",
  async (context, request, signal) => {
    const { client, clock } = context;
    const { conditions = [], certificate } = request.status ?? {};
    if (certificate || conditions.some(({ type }) => type === "Approved" || type === "Denied")) return undefined;
    if (request.spec.signerName !== kubeletClientSigner) return undefined;
    const asked = readRequest(request);
    if (kubeletClientFlaw(asked) !== undefined) return undefined;
    for (const { subresource, isMeant, message } of approvals) {
      if (!isMeant(request, asked) || !(await mayCreate(context, request, subresource, signal))) continue;
      const approved = withCondition(request, { type: "Approved", status: "True", reason: "AutoApproved", message }, clock.now());
      await client.update(certificatesigningrequests, approved, { subresource: "approval", signal });
      return undefined;
    }
    // The right may yet be given: asked again after as long as the request has been there.
    const ageMs = clock.now() - (parseTime(request.metadata.creationTimestamp) ?? 0);
    return { requeueAfterMs: Math.min(1_000_000, Math.max(1_000, ageMs)) };
  },
);

/** Whether the requester may have this kind of certificate. */
async function mayCreate(
  { client }: ControllerContext,
  { spec }: CertificateSigningRequest,
  subresource: string,
  signal: AbortSignal,
): Promise<boolean> {
  const { username, uid, groups, extra } = spec;
  const resourceAttributes = {
    group: "certificates.k8s.io",
    resource: "certificatesigningrequests",
    verb: "create",
    subresource,
    version: "*",
  };
  const review = await client.create(
    subjectaccessreviews,
    {
      metadata: {},
      spec: {
        ...(username ? { user: username } : {}),
        ...(uid ? { uid } : {}),
        ...(groups ? { groups } : {}),
        ...(extra ? { extra } : {}),
        resourceAttributes,
      },
    },
    { signal },
  );
  return review.status?.allowed === true;
}

export const signingRequestSigner: Controller = requestController(
  "certificatesigningrequest-signing-controller",
  async (context, request, signal) => {
    const { client, clock, options } = context;
    const { status, spec } = request;
    const authority = options.clusterSigningFor?.[spec.signerName] ?? options.clusterSigning;
    if (!authority || status?.certificate || !isKnownSigner(spec.signerName)) return undefined;
    if (!isConditionTrue(status?.conditions, "Approved") || isConditionTrue(status?.conditions, "Failed")) return undefined;
    const asked = readRequest(request);
    const flaw = flawOf(spec.signerName, asked);
    const answered =
      flaw === undefined
        ? { ...request, status: { ...status, certificate: encodeBase64(signed(context, authority, request, asked)) } }
        : withCondition(request, { type: "Failed", status: "True", reason: "SignerValidationFailure", message: flaw }, clock.now());
    await client.updateStatus(certificatesigningrequests, answered, { signal });
    return undefined;
  },
);

function signed(
  { clock, options }: ControllerContext,
  authority: KeyedCertificate,
  { spec }: CertificateSigningRequest,
  asked: Asked,
): string {
  const certificate = certificateFor(asked, {
    nowMs: clock.now(),
    durationMs: spec.expirationSeconds === undefined ? undefined : spec.expirationSeconds * 1000,
    longestMs: options.clusterSigningDurationMs ?? yearMs,
    authorityNotAfterMs: authority.certificate.notAfterMs,
  });
  return certificatePem(issueCertificate(certificate, authority));
}

export const signingRequestCleaner: Controller = requestController(
  "certificatesigningrequest-cleaner-controller",
  async ({ client, clock }, request, signal) => {
    const { name, uid } = request.metadata;
    const leftMs = uselessAtMs(request) - clock.now();
    if (leftMs > 0) return { requeueAfterMs: leftMs };
    try {
      await client.delete(certificatesigningrequests, { name }, { signal, body: { preconditions: { uid } } });
    } catch (error) {
      if (!isStatus(error, "NotFound", "Conflict")) throw error;
    }
    return undefined;
  },
);

/** An hour after it was dealt with, a day after it should have been, and when its certificate expires. */
export function uselessAtMs({ metadata, status }: CertificateSigningRequest): number {
  const { conditions = [], certificate } = status ?? {};
  if (conditions.length === 0) return (parseTime(metadata.creationTimestamp) ?? 0) + 24 * hourMs;
  const expiry = certificate && conditions.some(({ type }) => type === "Approved") ? expiryMs(certificate) : Number.POSITIVE_INFINITY;
  const ends = conditions.map(({ type, lastUpdateTime }) => {
    const atMs = parseTime(lastUpdateTime ?? "") ?? Number.POSITIVE_INFINITY;
    return atMs + (type === "Approved" && !certificate ? 24 : 1) * hourMs;
  });
  return Math.min(expiry, ...ends);
}

function expiryMs(certificate: string): number {
  try {
    return certificateFromPem(textOf(certificate)).notAfterMs;
  } catch (error) {
    if (error instanceof DerError) return Number.POSITIVE_INFINITY;
    throw error;
  }
}

const textOf = (base64: string): string => new TextDecoder().decode(bytesOfBase64(base64));

/** Throws TerminalError: a request does not change. */
export function readRequest({ metadata, spec }: CertificateSigningRequest): Asked {
  try {
    return { request: parseSigningRequest(textOf(spec.request)), usages: spec.usages ?? [] };
  } catch (cause) {
    if (cause instanceof DerError) throw new TerminalError(`reading the request of ${metadata.name}`, { cause });
    throw cause;
  }
}

export function withCondition(
  request: CertificateSigningRequest,
  fields: Pick<CertificateSigningRequestCondition, "type" | "status" | "reason" | "message">,
  nowMs: number,
): CertificateSigningRequest {
  const at = formatTime(nowMs);
  const condition = { ...fields, lastUpdateTime: at, lastTransitionTime: at };
  return { ...request, status: { ...request.status, conditions: [...(request.status?.conditions ?? []), condition] } };
}
