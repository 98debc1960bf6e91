// How control groups are named by the two drivers: as directories (cgroupfs: /coracle-1/kubepods/burstable/pod<uid>), or as
// systemd's slices (/coracle_1.slice/coracle_1-kubepods.slice/…). A slice's name tells all above it; a hyphen parts the
// levels, so that hyphens in names become underscores. CRI takes a directory, or the last slice.
import { basename, join } from "node:path";

export type PodQosClass = "Guaranteed" | "Burstable" | "BestEffort";

export interface CgroupNames {
  readonly driver: "cgroupfs" | "systemd";
  /** The parent of the pods of a class, from the root of the trees: guaranteed ones are directly below kubepods. */
  qos(root: string, qos: PodQosClass): string;
  pod(root: string, qos: PodQosClass, uid: string): string;
  /** The runtime's, below its pod's. */
  container(pod: string, containerId: string): string;
  /** As CRI's cgroup_parent. */
  parent(path: string): string;
}

const partsOf = (qos: PodQosClass, ...more: readonly string[]): readonly string[] => [
  "kubepods",
  ...(qos === "Guaranteed" ? [] : [qos.toLowerCase()]),
  ...more,
];

export const cgroupfsNames: CgroupNames = {
  driver: "cgroupfs",
  qos: (root, qos) => join("/", root, ...partsOf(qos)),
  pod: (root, qos, uid) => join("/", root, ...partsOf(qos, `pod${uid}`)),
  container: (pod, containerId) => `${pod}/${containerId}`,
  parent: (path) => path,
};

/** `runtimeName`: as CRI tells it; each runtime names its scopes by a word of its own. */
export function systemdNames(runtimeName: string): CgroupNames {
  const scope = runtimeName === "cri-o" ? "crio" : `cri-${runtimeName}`;
  const path = (root: string, parts: readonly string[]): string => slicePath([...root.split("/"), ...parts].filter((part) => part !== ""));
  return {
    driver: "systemd",
    qos: (root, qos) => path(root, partsOf(qos)),
    pod: (root, qos, uid) => path(root, partsOf(qos, `pod${uid}`)),
    container: (pod, containerId) => `${pod}/${scope}-${containerId}.scope`,
    parent: (whole) => basename(whole),
  };
}

/** "/a.slice/a-b.slice" of ["a", "b"]. */
export function slicePath(parts: readonly string[]): string {
  const escaped = parts.map((part) => part.replaceAll("-", "_"));
  const slices = escaped.map((_, i) => `${escaped.slice(0, i + 1).join("-")}.slice`);
  return `/${slices.join("/")}`;
}
