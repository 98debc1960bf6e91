// Certificate signing requests: who asks is recorded, the request never changes, and approval, signing and the rest of the
// status are three endpoints.
import { certificateSigningRequestTable } from "../../../api/encode/table/certificates.ts";
import { certificatesigningrequests } from "../../../api/resources.generated.ts";
import type { CertificateSigningRequest, CertificateSigningRequestCondition } from "../../../api/types/certificates-v1.ts";
import { formatTime } from "../../../base/clock.ts";
import type { StrategyContext } from "../resource-definition.ts";
import { describe, withOnlyStatus } from "./describe.ts";
import { pathSegmentName } from "./rbac.ts";
import { validateSigningRequest, validateSigningRequestUpdate } from "./validate-signing-request.ts";

type Request = CertificateSigningRequest;
type Condition = CertificateSigningRequestCondition;

/** Whoever sends the request is whom it is for, whatever it says. */
function withRequester(request: Request, { user, userName }: StrategyContext): Request {
  const { username: _1, uid: _2, groups: _3, extra: _4, ...spec } = request.spec;
  const { uid, groups = [], extra = {} } = user ?? {};
  return {
    ...request,
    spec: {
      ...spec,
      username: userName,
      ...(uid ? { uid } : {}),
      ...(groups.length > 0 ? { groups } : {}),
      ...(Object.keys(extra).length > 0 ? { extra } : {}),
    },
    status: {},
  };
}

/** Fills in when conditions were written, and since when they have their status. */
function withConditionTimes(request: Request, old: Request, nowMs: number): Request {
  const { conditions } = request.status ?? {};
  if (!conditions) return request;
  const now = formatTime(nowMs);
  const timed = conditions.map((condition): Condition => {
    const before = old.status?.conditions?.find((c) => c.type === condition.type && c.status === condition.status && c.lastTransitionTime);
    return {
      ...condition,
      lastUpdateTime: condition.lastUpdateTime || now,
      lastTransitionTime: condition.lastTransitionTime || before?.lastTransitionTime || now,
    };
  });
  return { ...request, status: { ...request.status, conditions: timed } };
}

const isDecision = ({ type }: Condition): boolean => type === "Approved" || type === "Denied";

/** Decisions are taken at the approval endpoint only; a status that sends the same ones again leaves them as they were. */
function withOldDecisions(request: Request, old: Request): Request {
  const { conditions } = request.status ?? {};
  if (!conditions) return request;
  let kept = conditions;
  for (const type of ["Approved", "Denied"]) {
    const before = (old.status?.conditions ?? []).filter((c) => c.type === type);
    if (kept.filter((c) => c.type === type).length !== before.length) continue;
    kept = kept.map((c) => (c.type === type && isDecision(c) ? (before.shift() ?? c) : c));
  }
  return { ...request, status: { ...request.status, conditions: kept } };
}

export const certificateSigningRequestDefinition = describe<Request>(certificatesigningrequests, {
  metadataOnUpdate: ["whole", "changes"],
  countsGeneration: false,
  // Kubelets name them by a hash with capital letters and underscores.
  validateName: pathSegmentName,
  create: { prepare: withRequester, validate: (request) => validateSigningRequest(request) },
  update: {
    prepare: (request, old) => ({ ...request, spec: old.spec, ...(old.status ? { status: old.status } : { status: {} }) }),
    validate: (request, old) => validateSigningRequestUpdate(request, old),
  },
  status: {
    prepare: (request, old, { nowMs }) => withConditionTimes(withOldDecisions(withOnlyStatus(request, old), old), old, nowMs),
    validate: (request, old) => validateSigningRequestUpdate(request, old, "status"),
    metadata: ["whole", "changes"],
  },
  subresources: {
    approval: {
      prepare: (request, old, { nowMs }) => {
        const { conditions = [] } = withConditionTimes(request, old, nowMs).status ?? {};
        const { conditions: _, ...rest } = old.status ?? {};
        return { ...old, metadata: request.metadata, status: conditions.length > 0 ? { ...rest, conditions } : rest };
      },
      validate: (request, old) => validateSigningRequestUpdate(request, old, "approval"),
      metadata: ["whole", "changes"],
    },
  },
  resetFields: { "": ["spec", "status"], status: ["spec", "status.conditions"], approval: ["spec", "status.certificate"] },
  selectableFields: { "spec.signerName": ({ spec }) => spec.signerName },
  table: certificateSigningRequestTable,
});
