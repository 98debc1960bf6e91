// A static pod made of its manifest: what its source, its contents and the node say becomes its uid, so that a change gives
// another pod; its name gets the node's name appended.
import { createHash } from "node:crypto";
import { parseAllDocuments } from "yaml";
import type { Pod } from "../api/types/core-v1.ts";
import { configAnnotation } from "./labels.ts";

export interface StaticPodManifest {
  readonly value: unknown;
  readonly source: "file" | "http";
  /** The file, or the URL. */
  readonly origin: string;
  /** What the uid is made from besides. */
  readonly text: string;
}

export interface StaticPodContext {
  readonly nodeName: string;
  /** Fills in the API's defaults. */
  readonly applyDefaults: (pod: Pod) => Pod;
  /** When the pod of this uid was first seen. */
  readonly seenAt: (uid: string) => string;
}

/** The documents of a text in YAML or JSON. Throws where it is neither. */
export function manifestDocuments(text: string): readonly unknown[] {
  return parseAllDocuments(text)
    .map((document) => {
      const [problem] = document.errors;
      if (problem) throw new Error(problem.message);
      return document.toJS() as unknown;
    })
    .filter((value) => value !== null && value !== undefined);
}

/** Throws an Error that says why it is no pod. */
export function staticPodOf({ value, source, origin, text }: StaticPodManifest, context: StaticPodContext): Pod {
  const pod = value as Pod;
  if (pod.kind !== "Pod" || pod.apiVersion !== "v1") throw new Error(`expected a v1 Pod, found ${pod.apiVersion} ${pod.kind}`);
  if (!pod.metadata?.name || !pod.spec?.containers?.length) throw new Error("a pod needs metadata.name and spec.containers");
  const { nodeName, applyDefaults, seenAt } = context;
  const where = source === "file" ? `host:${nodeName}file:${origin}` : `url:${origin}`;
  const hash = createHash("md5").update(`${where}${text}`).digest("hex");
  const annotations = {
    ...pod.metadata.annotations,
    [configAnnotation.hash]: hash,
    [configAnnotation.source]: source,
    [configAnnotation.seen]: seenAt(hash),
  };
  return applyDefaults({
    ...pod,
    metadata: {
      ...pod.metadata,
      name: `${pod.metadata.name}-${nodeName}`.toLowerCase(),
      namespace: pod.metadata.namespace || "default",
      uid: hash,
      annotations,
    },
    spec: {
      ...pod.spec,
      nodeName,
      tolerations: [...(pod.spec.tolerations ?? []), { operator: "Exists", effect: "NoExecute" }],
    },
    status: { phase: "Pending" },
  });
}
