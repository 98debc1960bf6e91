// Pods for the tests of this folder, with the defaults that validation expects to be filled in.
import { defaultPod } from "../defaults/pod.ts";
import type { Container, Pod, PodSpec } from "../types/core-v1.ts";

export const web: Container = { name: "web", image: "nginx:1.27" };

/** A pod that nothing is wrong with, but for what `spec` and `annotations` say otherwise. */
export function podWith(spec: Partial<PodSpec> = {}, annotations?: Readonly<Record<string, string>>): Pod {
  const metadata = {
    name: "a",
    namespace: "default",
    uid: "1",
    resourceVersion: "1",
    creationTimestamp: "2026-01-01T00:00:00Z",
    ...(annotations ? { annotations } : {}),
  };
  return defaultPod({ apiVersion: "v1", kind: "Pod", metadata, spec: { containers: [web], serviceAccountName: "default", ...spec } });
}

/** A pod with one container that has these fields. */
export const podOf = (container: Partial<Container>, spec: Partial<PodSpec> = {}): Pod =>
  podWith({ ...spec, containers: [{ ...web, ...container }] });
