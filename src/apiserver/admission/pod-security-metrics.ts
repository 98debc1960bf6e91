// What is counted about Pod Security, under upstream's metric names: evaluations by what they led to, and exempt requests.
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { AdmissionRequest } from "./admission.ts";
import type { LevelVersion } from "./pod-security-policy.ts";

export interface PodSecurityMetrics {
  evaluated(request: AdmissionRequest, at: LevelVersion, mode: "enforce" | "audit" | "warn", decision: "allow" | "deny"): void;
  exempted(request: AdmissionRequest): void;
  /** The labels of the namespace do not say what they should; the pod is evaluated all the same. */
  misled(request: AdmissionRequest): void;
}

export function createPodSecurityMetrics(registry: MetricsRegistry): PodSecurityMetrics {
  const about = ["request_operation", "resource", "subresource"];
  const evaluations = registry.counter(
    "pod_security_evaluations_total",
    "[ALPHA] Number of policy evaluations that occurred, not counting ignored or exempt requests.",
    ["decision", "mode", "policy_level", "policy_version", ...about],
  );
  const exemptions = registry.counter(
    "pod_security_exemptions_total",
    "[ALPHA] Number of exempt requests, not counting ignored or out of scope requests.",
    about,
  );
  const errors = registry.counter(
    "pod_security_errors_total",
    "[ALPHA] Number of errors preventing normal evaluation. Non-fatal errors may result in the latest restricted profile being used for evaluation.",
    ["fatal", ...about],
  );
  // There from the first scrape on, as upstream's.
  for (const operation of ["create", "update"]) {
    evaluations.series("allow", "enforce", "privileged", "latest", operation, "pod", "");
    for (const resource of ["pod", "controller"]) exemptions.series(operation, resource, "");
  }
  const valuesOf = ({ operation, resource, subresource }: AdmissionRequest): readonly string[] => [
    operation.toLowerCase(),
    resource.resource === "pods" ? "pod" : resource.resource === "namespaces" ? "namespace" : "controller",
    subresource,
  ];
  return {
    evaluated(request, { level, version }, mode, decision) {
      const policy = [level, level === "privileged" || version === undefined ? "latest" : `v1.${version}`];
      evaluations.series(decision, mode, ...policy, ...valuesOf(request)).add();
    },
    misled: (request) => errors.series("false", ...valuesOf(request)).add(),
    exempted: (request) => exemptions.series(...valuesOf(request)).add(),
  };
}
