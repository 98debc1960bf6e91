// What the validation of a pod spec depends on besides the spec: whose it is, and what an older version already had that
// is refused in new ones. An update must not fail for what was stored before a rule existed; so the rules are applied
// strictly first, and only if something is wrong, once more with allowance for what the old version had.
import type { PodSpec } from "../types/core-v1.ts";

export interface PodRules {
  /** The spec is a pod's own rather than a template's. */
  readonly isPod?: boolean;
  /** The pod's name: claims of its ephemeral volumes are named after it. */
  readonly podName?: string;
  /** A mirror of a pod that the kubelet found in a file. */
  readonly mirror?: boolean;
  /** What the old version had. */
  readonly allows?: PodAllowances;
}

/** Each is true when the old version had it. */
export interface PodAllowances {
  readonly invalidDeletionCost?: boolean;
  readonly indivisibleHugePages?: boolean;
  readonly invalidAffinitySelectorValues?: boolean;
  readonly invalidNodeAffinityValues?: boolean;
  readonly invalidSpreadSelectors?: boolean;
  readonly invalidSpreadLabelKeys?: boolean;
  readonly nonLocalTokenPaths?: boolean;
  readonly hostSysctls?: boolean;
  readonly seLinuxChangePolicy?: boolean;
  readonly comparingTolerations?: boolean;
  readonly restartingInitContainerResize?: boolean;
  readonly hostUsersFalseWithDevices?: boolean;
}

/** A container of any of the three lists, with the path of its field. Ephemeral ones have all that matters here. */
export type AnyContainer = PodSpec["containers"][number];

/** Calls back for init containers, containers and ephemeral containers, in this order. */
export function eachContainer(spec: PodSpec, field: string, visit: (container: AnyContainer, field: string) => void): void {
  for (const list of ["initContainers", "containers", "ephemeralContainers"] as const) {
    const containers: readonly AnyContainer[] = spec[list] ?? [];
    for (let i = 0; i < containers.length; i++) {
      const container = containers[i];
      if (container) visit(container, `${field}.${list}[${i}]`);
    }
  }
}
