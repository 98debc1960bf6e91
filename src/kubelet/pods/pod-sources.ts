// Where a node's pods come from: the API server, a directory (or file) of manifests, and a URL.
import { defaultPod } from "../../api/defaults/pod.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { Informer } from "../../client/informer.ts";
import type { ResolvedOptions } from "../options.ts";
import type { PodRegistry } from "./pod-registry.ts";
import { StaticPodUrl } from "./static-pod-url.ts";
import { StaticPodSource } from "./static-pods.ts";

export interface StaticPodsDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  /** All pods that the source ("file", "http") has now. */
  readonly use: (source: string, found: readonly Pod[]) => void;
}

export async function startStaticPods(
  { clock, logger, use }: StaticPodsDependencies,
  options: Pick<
    ResolvedOptions,
    "podManifestPath" | "staticPodURL" | "staticPodURLHeader" | "nodeName" | "fileCheckFrequencyMs" | "httpCheckFrequencyMs"
  >,
): Promise<Running> {
  const { podManifestPath: directory, staticPodURL: url, staticPodURLHeader: headers, nodeName } = options;
  const stack = new StopStack();
  if (directory === undefined && url === undefined) return stack;
  // Validation is a lot of code, which a kubelet without static pods never needs.
  const { validatePod: validate } = await import("../../api/validation/pod.ts");
  const deps = { clock, logger, applyDefaults: defaultPod, validate };
  if (directory !== undefined) {
    const at = { directory, nodeName, periodMs: options.fileCheckFrequencyMs };
    await stack.add(new StaticPodSource({ ...deps, onChange: (found) => use("file", found) }, at)).start();
  }
  if (url !== undefined) {
    const at = { url, headers, nodeName, periodMs: options.httpCheckFrequencyMs };
    stack.add(new StaticPodUrl({ ...deps, onChange: (found) => use("http", found) }, at)).start();
  }
  return stack;
}

export interface ApiPodsDependencies {
  readonly registry: PodRegistry;
  readonly signal: AbortSignal;
  /** Every pod of the API server has been handed on once. */
  readonly onReady: () => Promise<void>;
}

export class ApiPods {
  readonly #deps: ApiPodsDependencies;
  #ready = false;

  constructor(deps: ApiPodsDependencies) {
    this.#deps = deps;
  }

  /** All pods of the API server have been seen once. */
  get ready(): boolean {
    return this.#ready;
  }

  /** Pods are taken from the API once services are known too, which their environment tells of. */
  async follow(podInformer: Informer<Pod>, serviceInformer: { synced(signal: AbortSignal): Promise<void> }): Promise<void> {
    const { registry, signal, onReady } = this.#deps;
    try {
      await Promise.all([podInformer.synced(signal), serviceInformer.synced(signal)]);
    } catch (error) {
      if (signal.aborted) return;
      throw error;
    }
    const handler = podInformer.addHandler({
      onAdd: (pod) => registry.seen(pod),
      onUpdate: (pod) => registry.seen(pod),
      onDelete: (pod) => registry.deleted(pod),
    });
    signal.addEventListener("abort", () => handler.remove(), { once: true });
    this.#ready = true;
    await onReady();
  }
}
