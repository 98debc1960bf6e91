// A request as the expressions of policies and of match conditions see it.
import { KnownAnswers } from "../../../api/cel/access.ts";
import type { AdmissionInput } from "../../../api/cel/admission-environment.ts";
import type { AccessAnswer, AccessAnswers } from "../../../api/cel/library/authorizer.ts";
import type { KubernetesObject } from "../../../api/meta/object.ts";
import type { Namespace } from "../../../api/types/core-v1.ts";
import type { Authorizer } from "../../authz/authorizer.ts";
import type { AdmissionRequest } from "../admission.ts";
import type { MatchedResource } from "../match-request.ts";
import { reviewedRequest } from "../webhooks/admission-review.ts";

/** What a request may be asked about once it is clear as what it is seen. */
export interface SeenRequest {
  readonly request: AdmissionRequest;
  readonly matched: Pick<MatchedResource, "resource" | "kind">;
  /** In the version that is seen. */
  readonly object: KubernetesObject | undefined;
  readonly oldObject: KubernetesObject | undefined;
  readonly namespace?: Namespace | undefined;
  readonly params?: KubernetesObject | undefined;
  readonly access: AccessAnswers;
}

export function admissionInput({ request, matched, object, oldObject, namespace, params, access }: SeenRequest): AdmissionInput {
  return {
    object,
    oldObject,
    request: reviewedRequest(request, matched),
    namespaceObject: namespace && namespaceFields(namespace),
    params,
    user: request.user,
    access,
  };
}

/** Expressions see no owners and no managers of a namespace. */
function namespaceFields({ metadata, spec, status }: Namespace): unknown {
  const { ownerReferences: _1, managedFields: _2, selfLink: _3, ...seen } = metadata;
  return { metadata: seen, spec: spec ?? {}, status: status ?? {} };
}

/** Authorization as expressions ask it; each question of a request is decided once. */
export function accessOf(authorizer: Authorizer): AccessAnswers {
  return new KnownAnswers((question) => {
    try {
      const answer = authorizer.authorize(question);
      return answer instanceof Promise ? answer.then(toAnswer, toError) : toAnswer(answer);
    } catch (error) {
      return toError(error);
    }
  });
}

const toAnswer = ({ decision, reason }: Awaited<ReturnType<Authorizer["authorize"]>>): AccessAnswer => ({
  allowed: decision === "allow",
  reason,
});

const toError = (error: unknown): AccessAnswer => ({
  allowed: false,
  reason: "",
  error: error instanceof Error ? error.message : String(error),
});
