// Labels and annotations by which the kubelet finds its sandboxes and containers again in the runtime, also after its own
// restart: upstream's names, so that crictl, log collectors and cAdvisor understand them.
import type { Container, Pod } from "../../api/types/core-v1.ts";

export const label = {
  podName: "io.kubernetes.pod.name",
  podNamespace: "io.kubernetes.pod.namespace",
  podUid: "io.kubernetes.pod.uid",
  containerName: "io.kubernetes.container.name",
} as const;

export const annotation = {
  hash: "io.kubernetes.container.hash",
  restartCount: "io.kubernetes.container.restartCount",
  terminationMessagePath: "io.kubernetes.container.terminationMessagePath",
  terminationMessagePolicy: "io.kubernetes.container.terminationMessagePolicy",
  preStopHandler: "io.kubernetes.container.preStopHandler",
  ports: "io.kubernetes.container.ports",
  deletionGracePeriod: "io.kubernetes.pod.deletionGracePeriod",
  terminationGracePeriod: "io.kubernetes.pod.terminationGracePeriod",
} as const;

/** On pods that come from files, and on their mirrors in the API server. */
export const configAnnotation = {
  source: "kubernetes.io/config.source",
  mirror: "kubernetes.io/config.mirror",
  seen: "kubernetes.io/config.seen",
  hash: "kubernetes.io/config.hash",
} as const;

export function sandboxLabels(pod: Pod): Record<string, string> {
  const { name, namespace, uid, labels } = pod.metadata;
  return { ...labels, [label.podName]: name, [label.podNamespace]: namespace, [label.podUid]: uid };
}

export function containerLabels(pod: Pod, container: Container): Record<string, string> {
  const { name, namespace, uid } = pod.metadata;
  return { [label.podName]: name, [label.podNamespace]: namespace, [label.podUid]: uid, [label.containerName]: container.name };
}

export function containerAnnotations(pod: Pod, container: Container, restartCount: number): Record<string, string> {
  const { deletionGracePeriodSeconds } = pod.metadata;
  const { terminationGracePeriodSeconds } = pod.spec;
  const preStop = container.lifecycle?.preStop;
  return {
    [annotation.hash]: containerHash(container),
    [annotation.restartCount]: String(restartCount),
    [annotation.terminationMessagePath]: container.terminationMessagePath ?? "",
    [annotation.terminationMessagePolicy]: container.terminationMessagePolicy ?? "",
    ...(deletionGracePeriodSeconds === undefined ? {} : { [annotation.deletionGracePeriod]: String(deletionGracePeriodSeconds) }),
    ...(terminationGracePeriodSeconds === undefined ? {} : { [annotation.terminationGracePeriod]: String(terminationGracePeriodSeconds) }),
    ...(preStop ? { [annotation.preStopHandler]: JSON.stringify(preStop) } : {}),
    ...(container.ports?.length ? { [annotation.ports]: JSON.stringify(container.ports) } : {}),
  };
}

/** Changes when a running container has to be replaced: with its name or image, the fields a pod update may change. */
export function containerHash(container: { readonly name: string; readonly image?: string }): string {
  return fnv1a(JSON.stringify({ image: container.image ?? "", name: container.name })).toString(16);
}

/** 32-bit FNV-1a over UTF-16 code units. */
export function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
