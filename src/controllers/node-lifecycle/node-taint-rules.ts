// Which taints a node's conditions and spec ask for.
import { findCondition } from "../../api/semantics/conditions.ts";
import {
  diskPressureTaintKey,
  memoryPressureTaintKey,
  networkUnavailableTaintKey,
  notReadyTaintKey,
  pidPressureTaintKey,
  unreachableTaintKey,
  unschedulableTaintKey,
} from "../../api/semantics/taints.ts";
import type { Node, Taint } from "../../api/types/core-v1.ts";

/** Taint key by condition type and status. */
const conditionTaints: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  Ready: { False: notReadyTaintKey, Unknown: unreachableTaintKey },
  MemoryPressure: { True: memoryPressureTaintKey },
  DiskPressure: { True: diskPressureTaintKey },
  PIDPressure: { True: pidPressureTaintKey },
  NetworkUnavailable: { True: networkUnavailableTaintKey },
};

const ownKeys: ReadonlySet<string> = new Set([
  unschedulableTaintKey,
  ...Object.values(conditionTaints).flatMap((byStatus) => Object.values(byStatus)),
]);

/** The NoSchedule taints that the node's state asks for. */
export function noScheduleTaints(node: Node): readonly Taint[] {
  const keys = (node.status?.conditions ?? []).flatMap(({ type, status }) => conditionTaints[type]?.[status] ?? []);
  if (node.spec?.unschedulable) keys.push(unschedulableTaintKey);
  return keys.map((key) => ({ key, effect: "NoSchedule" }));
}

/** NoSchedule taints that are kept in line with the node's state. */
export function isNoScheduleTaintOfState(taint: Taint): boolean {
  return taint.effect === "NoSchedule" && ownKeys.has(taint.key);
}

/** The NoExecute taint that a node's readiness asks for; undefined for a ready node. */
export function noExecuteTaint(node: Node): Taint | undefined {
  const ready = findCondition(node.status?.conditions, "Ready");
  const key = ready && conditionTaints.Ready?.[ready.status];
  return key ? { key, effect: "NoExecute" } : undefined;
}

export function isNoExecuteTaintOfReadiness(taint: Taint): boolean {
  return taint.effect === "NoExecute" && (taint.key === notReadyTaintKey || taint.key === unreachableTaintKey);
}

const betaLabels: Readonly<Record<string, string>> = {
  "kubernetes.io/os": "beta.kubernetes.io/os",
  "kubernetes.io/arch": "beta.kubernetes.io/arch",
};

/** Old labels that must say what their successors say; undefined when they do. */
export function labelsToAdd(node: Node): Readonly<Record<string, string>> | undefined {
  const labels = node.metadata.labels ?? {};
  const missing = Object.entries(betaLabels).flatMap(([stable, beta]) => {
    const value = labels[stable];
    return value !== undefined && labels[beta] !== value ? [[beta, value] as const] : [];
  });
  return missing.length === 0 ? undefined : Object.fromEntries(missing);
}
