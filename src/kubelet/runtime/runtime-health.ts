// Asks the runtime every five seconds whether it and its network are ready (more often while they are not), and keeps the
// answer for the node's Ready condition and for the pods that need a network.
import type { NodeFeatures, NodeRuntimeHandler, NodeRuntimeHandlerFeatures } from "../../api/types/core-v1.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import type { RuntimeCondition } from "../../cri/generated/runtime-v1.ts";

export interface RuntimeHealthDependencies {
  readonly cri: CriRuntime;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The answer has changed. */
  readonly onChange: () => void;
}

const periodMs = 5_000;
/** Somebody may be about to mend it: a CNI configuration that is brought makes the network ready. */
const troubledMs = 1_000;
const impatientMs = 100;
/** How long it asks often after a change was announced. */
const impatientForMs = 30_000;
const downAfterMs = 30_000;

export class RuntimeHealth implements Running {
  readonly #deps: RuntimeHealthDependencies;
  #lastAnswerMs: number | undefined;
  #runtimeProblem: string | undefined;
  #networkProblem: string | undefined = "network state unknown";
  #handlers: readonly NodeRuntimeHandler[] = [];
  #features: NodeFeatures | undefined;
  #failing = false;
  #told = "";
  #impatientUntilMs = 0;
  #timer: Timer | undefined;
  #asking: Promise<void> | undefined;
  #stopped = false;

  constructor(deps: RuntimeHealthDependencies) {
    this.#deps = deps;
  }

  get handlers(): readonly NodeRuntimeHandler[] {
    return this.#handlers;
  }

  get features(): NodeFeatures | undefined {
    return this.#features;
  }

  /** What a handler of a RuntimeClass can do; "" is the default one. Nothing where the runtime does not say. */
  featuresOf(handler: string): NodeRuntimeHandlerFeatures {
    return this.#handlers.find((h) => (h.name ?? "") === handler)?.features ?? {};
  }

  networkProblem(): string | undefined {
    return this.#networkProblem;
  }

  problems(): readonly string[] {
    const all = [this.#silence(), this.#runtimeProblem, this.#networkProblem];
    return all.filter((p) => p !== undefined);
  }

  async start(): Promise<void> {
    await this.#ask();
  }

  /** Something was done that should make it ready: look at once, and often for a while. */
  hurry(): void {
    this.#impatientUntilMs = this.#deps.clock.monotonic() + impatientForMs;
    this.#timer?.cancel();
    if (!this.#stopped) this.#asking = (this.#asking ?? Promise.resolve()).then(() => this.#ask());
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#asking;
  }

  #silence(): string | undefined {
    if (this.#lastAnswerMs === undefined) return "container runtime status check may not have completed yet";
    return this.#deps.clock.monotonic() - this.#lastAnswerMs >= downAfterMs ? "container runtime is down" : undefined;
  }

  async #ask(): Promise<void> {
    if (this.#stopped) return;
    this.#timer?.cancel();
    const { cri, clock, logger, onChange } = this.#deps;
    try {
      const { status, runtimeHandlers, features } = await cri.status({}, { timeoutMs: 10_000 });
      const conditions = status?.conditions ?? [];
      this.#lastAnswerMs = clock.monotonic();
      this.#failing = false;
      this.#runtimeProblem = problemOf(conditions, "RuntimeReady", "container runtime not ready");
      this.#networkProblem = problemOf(conditions, "NetworkReady", "container runtime network not ready");
      this.#features = features && { supplementalGroupsPolicy: features.supplementalGroupsPolicy };
      this.#handlers = runtimeHandlers
        .map(({ name, features }) => ({
          name,
          ...(features
            ? { features: { recursiveReadOnlyMounts: features.recursiveReadOnlyMounts, userNamespaces: features.userNamespaces } }
            : {}),
        }))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
    } catch (error) {
      // One that is slow, or is started anew, is not down yet: the node says so when it has been silent for long.
      const isNews = !this.#failing;
      this.#failing = true;
      if (isNews) logger.error("Container runtime sanity check failed", { error: errorText(error) });
    }
    const found = this.problems().join();
    if (this.#told !== found) onChange();
    this.#told = found;
    if (this.#stopped) return;
    const hurried = clock.monotonic() < this.#impatientUntilMs;
    const delayMs = !this.#failing && found === "" ? periodMs : hurried ? impatientMs : troubledMs;
    this.#timer = clock.after(delayMs, () => {
      this.#asking = this.#ask();
    });
  }
}

function problemOf(conditions: readonly RuntimeCondition[], type: string, what: string): string | undefined {
  const condition = conditions.find((c) => c.type === type);
  if (condition?.status) return undefined;
  return `${what}: ${type}=false reason:${condition?.reason ?? ""} message:${condition?.message ?? ""}`;
}
