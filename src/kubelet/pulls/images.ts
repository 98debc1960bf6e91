// Makes sure that a container's image is on the node, by its pull policy, with upstream's events and reasons: what cannot be
// pulled is ErrImagePull, then ImagePullBackOff until its back-off (10 s doubling to 300 s per pod and image) is over.

import { withDefaultTag } from "../../api/semantics/image-name.ts";
import type { ObjectReference, Pod, Secret } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import { LruMap } from "../../base/lru-map.ts";
import type { EventRecorder } from "../../client/event-recorder.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import type { Image, PodSandboxConfig } from "../../cri/generated/runtime-v1.ts";
import type { Input } from "../../rpc/protocol.ts";
import { RpcError } from "../../rpc/rpc-error.ts";
import { CrashBackOff } from "../pods/crash-backoff.ts";
import { runtimeErrorText, StartError, type StartFailure } from "../pods/start-error.ts";
import { credentialsFor, type TrackedCredential } from "./pull-credentials.ts";
import { PullRate } from "./pull-rate.ts";
import type { PullVerification } from "./pull-verification.ts";

export interface ImageManagerDependencies {
  readonly cri: CriRuntime;
  readonly clock: Clock;
  readonly recorder: EventRecorder;
  readonly verification: PullVerification;
  /** An image was pulled, which took so long. */
  readonly onPulled?: (podUid: string, about: { readonly sizeBytes: number; readonly durationMs: number }) => void;
  /** For metrics: an image was asked for. Undefined for what it never came to. */
  readonly onEnsured?: (policy: string, found: { readonly present: boolean | undefined; readonly mustPull: boolean | undefined }) => void;
  /** Credentials of the node: from programs. */
  readonly nodeCredentials: (image: string, pod: Pod) => Promise<readonly TrackedCredential[]>;
}

export interface ImageManagerOptions {
  /** Pulls at a time. Default 5. */
  readonly maxParallelPulls?: number;
  /** Deadline of one pull. Default 30 minutes. */
  readonly pullTimeoutMs?: number;
  /** Pulls that may begin in a second, and at once. Default 0: no limit. */
  readonly pullsPerSecond?: number;
  readonly burst?: number;
}

export interface EnsureImageRequest {
  readonly pod: Pod;
  /** As written in the specification. */
  readonly image: string;
  readonly policy: string;
  /** What events are about: a container, or the pod for its volumes. */
  readonly about: ObjectReference;
  readonly sandboxConfig: Input<PodSandboxConfig>;
  readonly pullSecrets: readonly Secret[];
  readonly signal?: AbortSignal;
}

interface PullFailure {
  readonly reason: StartFailure;
  readonly message: string;
  readonly shownUntilMs: number;
}

interface Found {
  present: boolean | undefined;
  mustPull: boolean | undefined;
}

/** How long ErrImagePull is shown before ImagePullBackOff takes its place. */
const showFailureMs = 5_000;

const presentMessage = (image: string): string => `Container image "${image}" already present on machine and can be accessed by the pod`;

export class ImageManager {
  readonly #deps: ImageManagerDependencies;
  readonly #options: Required<ImageManagerOptions>;
  readonly #backOff: CrashBackOff;
  /** The last failed pull by pod and image, to be shown during the back-off. */
  readonly #lastFailures = new LruMap<string, PullFailure>(1000);
  readonly #queue: (() => void)[] = [];
  readonly #rate: PullRate;
  #pulling = 0;

  constructor(deps: ImageManagerDependencies, options: ImageManagerOptions = {}) {
    this.#deps = deps;
    const { maxParallelPulls = 5, pullTimeoutMs = 30 * 60_000, pullsPerSecond = 0, burst = 10 } = options;
    this.#options = { maxParallelPulls, pullTimeoutMs, pullsPerSecond, burst };
    this.#rate = new PullRate(deps.clock, { perSecond: pullsPerSecond, burst });
    this.#backOff = new CrashBackOff(deps.clock);
  }

  /** The image as the runtime knows it. Throws StartError. */
  async ensure(request: EnsureImageRequest): Promise<Image> {
    const found: Found = { present: undefined, mustPull: undefined };
    try {
      return await this.#ensure(request, found);
    } finally {
      this.#deps.onEnsured?.(request.policy, found);
    }
  }

  async #ensure(request: EnsureImageRequest, outcome: Found): Promise<Image> {
    const { image: asked, policy, pod } = request;
    const image = this.#completeName(request, asked);
    let found: Promise<readonly TrackedCredential[]> | undefined;
    const credentials = (): Promise<readonly TrackedCredential[]> => (found ??= this.#credentials(image, pod, request.pullSecrets));
    if (policy !== "Always") {
      const present = await this.#inspect(request, image);
      outcome.present = present !== undefined;
      if (present) {
        outcome.mustPull = await this.#deps.verification.mustPull(image, present.id, credentials);
        if (!outcome.mustPull) {
          this.#event(request, "Normal", "Pulled", presentMessage(asked));
          return present;
        }
      }
      if (policy === "Never") {
        const message = `Container image "${asked}" is not present with pull policy of Never`;
        throw this.#failure(request, "ErrImageNeverPull", "ErrImageNeverPull", message);
      }
    }
    outcome.mustPull = true;
    return await this.#pull(request, image, credentials);
  }

  /** Of a pod that is gone. */
  forget(podUid: string): void {
    this.#backOff.forgetPrefix(`${podUid}_`);
  }

  #completeName(request: EnsureImageRequest, asked: string): string {
    try {
      return withDefaultTag(asked);
    } catch (error) {
      const message = `Failed to apply default image tag "${asked}": ${(error as Error).message}`;
      throw this.#failure(request, "InvalidImageName", "InspectFailed", message);
    }
  }

  async #inspect(request: EnsureImageRequest, image: string): Promise<Image | undefined> {
    try {
      return await this.#status(image, request.signal);
    } catch (error) {
      const message = `Failed to inspect image "${image}": ${runtimeErrorText(error)}`;
      throw this.#failure(request, "ImageInspectError", "InspectFailed", message, error);
    }
  }

  async #status(image: string, signal: AbortSignal | undefined): Promise<Image | undefined> {
    const { image: found } = await this.#deps.cri.imageStatus({ image: { image } }, signal ? { signal } : {});
    return found && found.id !== "" ? found : undefined;
  }

  async #credentials(image: string, pod: Pod, secrets: readonly Secret[]): Promise<readonly TrackedCredential[]> {
    return [...credentialsFor(image, secrets), ...(await this.#deps.nodeCredentials(image, pod))];
  }

  async #pull(request: EnsureImageRequest, image: string, credentials: () => Promise<readonly TrackedCredential[]>): Promise<Image> {
    const { pod, image: asked, signal } = request;
    const { clock, verification } = this.#deps;
    const key = `${pod.metadata.uid}_${asked}`;
    const waiting = this.#backOff.delay(key);
    if (waiting) throw this.#inBackOff(request, waiting.untilMs, this.#lastFailures.get(key));
    this.#event(request, "Normal", "Pulling", `Pulling image "${asked}"`);
    const queuedAt = clock.monotonic();
    await this.#acquire();
    const startedAt = clock.monotonic();
    let pulled: { readonly imageRef: string; readonly used: TrackedCredential | undefined } | undefined;
    let isBegun = false;
    try {
      await verification.begin(image);
      isBegun = true;
      this.#rate.take();
      const { ref, used } = await this.#pullWithCredentials(request, image, await credentials());
      const found = (await this.#status(ref, signal)) ?? (await this.#status(image, signal));
      if (!found) throw new Error(`the runtime does not have image "${image}" after pulling it`);
      pulled = { imageRef: found.id, used };
      const [pull, all] = [clock.monotonic() - startedAt, clock.monotonic() - queuedAt].map(durationText);
      this.#deps.onPulled?.(pod.metadata.uid, { sizeBytes: found.size, durationMs: clock.monotonic() - startedAt });
      const took = `in ${pull} (${all} including waiting). Image size: ${found.size} bytes.`;
      this.#event(request, "Normal", "Pulled", `Successfully pulled image "${asked}" ${took}`);
      return found;
    } catch (error) {
      if (signal?.aborted) throw error;
      const text = runtimeErrorText(error);
      this.#event(request, "Warning", "Failed", `Failed to pull image "${asked}": ${text}`);
      this.#backOff.next(key, clock.now());
      const [reason, message] = pullFailure(asked, text);
      const shownUntilMs = clock.now() + showFailureMs;
      this.#lastFailures.set(key, { reason, message, shownUntilMs });
      throw this.#failure(request, reason, undefined, message, error, shownUntilMs);
    } finally {
      this.#release();
      if (isBegun) await verification.end(image, pulled);
    }
  }

  #inBackOff(request: EnsureImageRequest, untilMs: number, last: PullFailure | undefined): StartError {
    const { image } = request;
    if (last && this.#deps.clock.now() < last.shownUntilMs)
      return new StartError(last.reason, last.message, { retryAtMs: last.shownUntilMs });
    const message = `Back-off pulling image "${image}"`;
    this.#event(request, "Normal", "BackOff", message);
    const shown = last ? `${message}: ${last.reason}: ${last.message}` : message;
    return this.#failure(request, "ImagePullBackOff", undefined, shown, undefined, untilMs);
  }

  /** With one after the other until one is taken; without any where there is none. */
  async #pullWithCredentials(
    { signal, sandboxConfig }: EnsureImageRequest,
    image: string,
    credentials: readonly TrackedCredential[],
  ): Promise<{ readonly ref: string; readonly used: TrackedCredential | undefined }> {
    const options = { timeoutMs: this.#options.pullTimeoutMs, ...(signal ? { signal } : {}) };
    const failures: unknown[] = [];
    for (const used of credentials.length > 0 ? credentials : [undefined]) {
      try {
        const answer = await this.#deps.cri.pullImage({ image: { image }, auth: used?.auth, sandboxConfig }, options);
        return { ref: answer.imageRef, used };
      } catch (error) {
        // The runtime's own words: a code that says nothing is left out.
        failures.push(error instanceof RpcError && error.code === "UNKNOWN" ? new Error(error.details) : error);
      }
    }
    if (failures.length === 1) throw failures[0];
    throw new Error(`[${failures.map(runtimeErrorText).join(", ")}]`);
  }

  /** An event of its own where `event` is given, and the "Error: <reason>" that upstream adds to every failure of a container. */
  #failure(
    request: EnsureImageRequest,
    reason: StartFailure,
    event: string | undefined,
    message: string,
    cause?: unknown,
    retryAtMs?: number,
  ): StartError {
    if (event) this.#event(request, "Warning", event, message);
    // Of an image volume the container that mounts it has one.
    if (request.about.fieldPath) this.#event(request, "Warning", "Failed", `Error: ${reason}`);
    return new StartError(reason, message, { cause, ...(retryAtMs === undefined ? {} : { retryAtMs }) });
  }

  #event({ about }: EnsureImageRequest, type: "Normal" | "Warning", reason: string, message: string): void {
    this.#deps.recorder.record(about, { type, reason, message });
  }

  async #acquire(): Promise<void> {
    if (this.#pulling >= this.#options.maxParallelPulls) await new Promise<void>((resolve) => this.#queue.push(resolve));
    this.#pulling++;
  }

  #release(): void {
    this.#pulling--;
    this.#queue.shift()?.();
  }
}

function pullFailure(image: string, text: string): readonly [StartFailure, string] {
  for (const [reason, what] of [
    ["RegistryUnavailable", "the registry is unavailable"],
    ["SignatureValidationFailed", "the signature validation failed"],
  ] as const)
    if (text.startsWith(reason)) return [reason, `image pull failed for ${image} because ${what}${text.slice(reason.length)}`];
  return ["ErrImagePull", text];
}

/** As Go prints a duration of whole milliseconds: "12ms", "1.204s", "1m3.5s". */
function durationText(ms: number): string {
  const whole = Math.floor(ms);
  if (whole === 0) return "0s";
  if (whole < 1000) return `${whole}ms`;
  const minutes = Math.floor(whole / 60_000);
  const seconds = Number(((whole % 60_000) / 1000).toFixed(3));
  return minutes > 0 ? `${minutes}m${seconds}s` : `${seconds}s`;
}
