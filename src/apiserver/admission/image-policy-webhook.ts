// ImagePolicyWebhook: asks a service outside whether the images of a pod may run (imagepolicy.k8s.io/v1alpha1 ImageReview), and
// remembers its answers for a while. What happens when it does not answer is configured.

import type { ConfigFields } from "../../api/encode/config-fields.ts";
import { isQualifiedName } from "../../api/meta/names.ts";
import { StatusError } from "../../api/meta/status-error.ts";
import { pods } from "../../api/resources.generated.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import { LruMap } from "../../base/lru-map.ts";
import { callForReview } from "../webhook/review-call.ts";
import { imageReviewProblem } from "../webhook/review-fields.ts";
import type { WebhookClient, WebhookTarget } from "../webhook/webhook-client.ts";
import { WebhookError } from "../webhook/webhook-error.ts";
import type { AdmissionPlugin, AdmissionRequest } from "./admission.ts";
import { isAbout, refuse } from "./refusal.ts";

export interface ImagePolicySettings {
  readonly kubeConfigFile: string;
  /** How long answers are remembered; 0 for not at all. */
  readonly allowTtlMs: number;
  readonly denyTtlMs: number;
  /** Before the second attempt; 0 for none. */
  readonly retryBackoffMs: number;
  readonly defaultAllow: boolean;
}

export interface ImagePolicyDependencies {
  readonly webhooks: WebhookClient;
  /** Where to, with the credentials of now. */
  readonly target: () => Promise<WebhookTarget>;
  readonly clock: Clock;
}

const [secondMs, minuteMs] = [1000, 60_000];

/** Throws ConfigError. */
export function imagePolicySettings(root: ConfigFields): ImagePolicySettings {
  const policy = root.object("imagePolicy");
  root.end();
  if (!policy) throw root.problem("imagePolicy", "required");
  const duration = (name: string, unitMs: number, limits: { readonly minMs: number; readonly maxMs: number; readonly usualMs: number }) => {
    const value = policy.integer(name) ?? 0;
    if (value === -1) return 0;
    if (value === 0) return limits.usualMs;
    const ms = value * unitMs;
    if (ms < limits.minMs || ms > limits.maxMs)
      throw policy.problem(name, `expected between ${limits.minMs} ms and ${limits.maxMs} ms, got ${ms} ms`);
    return ms;
  };
  const settings: ImagePolicySettings = {
    kubeConfigFile: policy.required("kubeConfigFile"),
    allowTtlMs: duration("allowTTL", secondMs, { minMs: secondMs, maxMs: 30 * minuteMs, usualMs: 5 * minuteMs }),
    denyTtlMs: duration("denyTTL", secondMs, { minMs: secondMs, maxMs: 30 * minuteMs, usualMs: 30 * secondMs }),
    retryBackoffMs: duration("retryBackoff", 1, { minMs: 1, maxMs: 5 * minuteMs, usualMs: 500 }),
    defaultAllow: policy.boolean("defaultAllow") ?? false,
  };
  policy.end();
  return settings;
}

interface ReviewStatus {
  readonly allowed?: boolean;
  readonly reason?: string;
  readonly auditAnnotations?: Readonly<Record<string, string>>;
}

const auditPrefix = "imagepolicywebhook.image-policy.k8s.io/";
const maxRemembered = 1024;

export function createImagePolicyWebhook(deps: ImagePolicyDependencies, settings: ImagePolicySettings): AdmissionPlugin {
  const remembered = new LruMap<string, { readonly status: ReviewStatus; readonly untilMs: number }>(maxRemembered);
  const statusOf = async (request: AdmissionRequest, spec: unknown): Promise<ReviewStatus> => {
    const key = JSON.stringify(spec);
    const known = remembered.get(key);
    if (known && known.untilMs > deps.clock.monotonic()) return known.status;
    const status = await review(deps, settings, request, spec);
    const ttlMs = status.allowed ? settings.allowTtlMs : settings.denyTtlMs;
    if (ttlMs > 0) remembered.set(key, { status, untilMs: deps.clock.monotonic() + ttlMs });
    return status;
  };
  return {
    name: "ImagePolicyWebhook",
    only: [pods],
    handles: (request) =>
      (request.operation === "CREATE" || request.operation === "UPDATE") &&
      (isAbout(request, pods) || isAbout(request, pods, "ephemeralcontainers")),
    async validate(request) {
      let status: ReviewStatus;
      try {
        status = await statusOf(request, reviewSpec(request));
      } catch (error) {
        if (!(error instanceof WebhookError)) throw error;
        if (!settings.defaultAllow) throw unanswered(request, error);
        request.annotate(`${auditPrefix}failed-open`, "true");
        return;
      }
      annotate(request, status.auditAnnotations ?? {});
      if (status.allowed) return;
      if (status.reason) throw refuse(request, `image policy webhook backend denied one or more images: ${status.reason}`);
      throw refuse(request, "one or more images rejected by webhook backend");
    },
  };
}

/** Keys that are none are left out. */
function annotate(request: AdmissionRequest, annotations: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(annotations))
    if (isQualifiedName(`${auditPrefix}${key}`).length === 0) request.annotate(`${auditPrefix}${key}`, value);
}

function reviewSpec({ object, subresource, namespace }: AdmissionRequest): unknown {
  const { spec, metadata } = object as Pod;
  const containers =
    subresource === "" ? [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])] : (spec?.ephemeralContainers ?? []);
  const annotations = Object.entries(metadata.annotations ?? {}).filter(([key]) => key.includes(".image-policy.k8s.io/"));
  return {
    containers: containers.map(({ image }) => (image ? { image } : {})),
    ...(annotations.length > 0 ? { annotations: Object.fromEntries(annotations) } : {}),
    namespace,
  };
}

const timeoutMs = 30_000;

async function review(
  { webhooks, target, clock }: ImagePolicyDependencies,
  { retryBackoffMs }: ImagePolicySettings,
  { signal }: AdmissionRequest,
  spec: unknown,
): Promise<ReviewStatus> {
  const body = { kind: "ImageReview", apiVersion: "imagepolicy.k8s.io/v1alpha1", metadata: {}, spec, status: { allowed: false } };
  const caller = { client: webhooks, target, clock };
  const answer = await callForReview(caller, body, { timeoutMs, firstPauseMs: retryBackoffMs, signal });
  const problem = imageReviewProblem(answer);
  if (problem !== undefined) throw new WebhookError("answer", problem);
  return (answer as { readonly status?: ReviewStatus } | null)?.status ?? {};
}

/** A service that forbids the question itself is passed on as it is. */
function unanswered(request: AdmissionRequest, { message, reason }: WebhookError): StatusError {
  return reason === "Forbidden" ? new StatusError({ code: 403, reason, message }) : refuse(request, message);
}
