// Runs admission plugins in their order: first all that change the object, later, after validation, all that refuse it.
// When a webhook or policy has changed the object, those that change it run a second time. Which plugins a resource concerns
// at all is found out once; where none has to wait, no promise is made.

import type { FieldError } from "../../api/meta/field-error.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import { appendAll } from "../../base/append-all.ts";
import type { AdmissionPlugin, AdmissionReader, AdmissionRequest } from "../admission/admission.ts";
import type { AdmissionMetrics, StepTimer } from "../admission/admission-metrics.ts";
import type { WriteAdmission } from "./write-environment.ts";

type Mutating = AdmissionPlugin & Required<Pick<AdmissionPlugin, "admit">>;
type Validating = AdmissionPlugin & Required<Pick<AdmissionPlugin, "validate">>;

/** The plugins that may be concerned with a resource. */
interface Concerned {
  readonly mutating: readonly Mutating[];
  readonly validating: readonly Validating[];
}

type Admitted = KubernetesObject | undefined;

export class AdmissionChain {
  readonly #plugins: readonly AdmissionPlugin[];
  readonly #reader: AdmissionReader;
  readonly #concerned = new WeakMap<ResourceType, Concerned>();
  readonly #metrics: AdmissionMetrics | undefined;
  /** What plugins have to wait for; empty once it has been read. */
  #unread: readonly ResourceType[];

  /** Without metrics nothing is timed. */
  constructor(plugins: readonly AdmissionPlugin[], reader: AdmissionReader, metrics?: AdmissionMetrics) {
    this.#metrics = metrics;
    this.#plugins = plugins;
    this.#reader = reader;
    this.#unread = [...new Set(plugins.flatMap((plugin) => plugin.waitsFor ?? []))];
  }

  /** The object as the mutating plugins leave it; absent for deletions. */
  mutate(request: WriteAdmission): Promise<Admitted> | Admitted {
    if (this.#unread.length > 0) return this.#read(request.signal).then(() => this.#mutate(request));
    return this.#mutate(request);
  }

  validate(request: AdmissionRequest): Promise<void> | void {
    const plugins = this.#concernedWith(request.resource).validating;
    if (plugins.length === 0) return undefined;
    const timer = this.#metrics?.begin("validate", request.operation);
    return timed(timer, () => validateFrom(0, plugins, { request, timer }));
  }

  /** What plugins find wrong with an object that its kind's own rules have refused. */
  async problems(request: AdmissionRequest): Promise<readonly FieldError[]> {
    const errors: FieldError[] = [];
    for (const plugin of this.#concernedWith(request.resource).validating)
      if (plugin.problems && plugin.handles(request)) appendAll(errors, await plugin.problems(request));
    return errors;
  }

  async #read(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#unread.map((type) => this.#reader.informer(type as ResourceType<KubernetesObject>).synced(signal)));
    this.#unread = [];
  }

  #mutate(request: WriteAdmission): Promise<Admitted> | Admitted {
    const { mutating } = this.#concernedWith(request.resource);
    if (mutating.length === 0) return request.object;
    const timer = this.#metrics?.begin("admit", request.operation);
    return timed(timer, () => {
      const once = admitFrom(0, mutating, { request, timer });
      return once instanceof Promise ? once.then((admitted) => again(mutating, admitted, timer)) : again(mutating, once, timer);
    });
  }

  #concernedWith(type: ResourceType): Concerned {
    let concerned = this.#concerned.get(type);
    if (!concerned) {
      const plugins = this.#plugins.filter(({ only }) => !only || only.some((t) => t.resource === type.resource && t.group === type.group));
      concerned = {
        mutating: plugins.filter((plugin): plugin is Mutating => plugin.admit !== undefined),
        validating: plugins.filter((plugin): plugin is Validating => plugin.validate !== undefined),
      };
      this.#concerned.set(type, concerned);
    }
    return concerned;
  }
}

/** Tells the timer how the step ends. */
function timed<T>(timer: StepTimer | undefined, step: () => Promise<T> | T): Promise<T> | T {
  if (!timer) return step();
  try {
    const result = step();
    if (!(result instanceof Promise)) {
      timer.allPassed();
      return result;
    }
    return result.then(
      (value) => {
        timer.allPassed();
        return value;
      },
      (error: unknown) => {
        timer.rejected();
        throw error;
      },
    );
  } catch (error) {
    timer.rejected();
    throw error;
  }
}

/** A request on its way through a step, and what times it. */
interface Passing<R> {
  readonly request: R;
  readonly timer: StepTimer | undefined;
}

/** The second round, where a plugin has asked for one. */
function again(plugins: readonly Mutating[], once: WriteAdmission, timer: StepTimer | undefined): Promise<Admitted> | Admitted {
  if (!once.needsSecondRound) return once.object;
  once.reinvocation.beginSecond();
  const twice = admitFrom(0, plugins, { request: once, timer });
  return twice instanceof Promise ? twice.then((admitted) => admitted.object) : twice.object;
}

/** The request as the plugins from the one at `index` on leave it. */
function admitFrom(
  index: number,
  plugins: readonly Mutating[],
  passing: Passing<WriteAdmission>,
): Promise<WriteAdmission> | WriteAdmission {
  const { timer } = passing;
  let current = passing.request;
  for (let i = index; i < plugins.length; i++) {
    const plugin = plugins[i] as Mutating;
    if (!plugin.handles(current)) continue;
    const before = current;
    timer?.asking(plugin);
    const answer = plugin.admit(before);
    if (answer instanceof Promise)
      return answer.then((object) => {
        timer?.passed(plugin);
        return admitFrom(i + 1, plugins, { request: withObject(before, object), timer });
      });
    timer?.passed(plugin);
    current = withObject(before, answer);
  }
  return current;
}

const withObject = (request: WriteAdmission, object: Admitted): WriteAdmission =>
  object && object !== request.object ? request.withObject(object) : request;

function validateFrom(index: number, plugins: readonly Validating[], passing: Passing<AdmissionRequest>): Promise<void> | void {
  const { request, timer } = passing;
  for (let i = index; i < plugins.length; i++) {
    const plugin = plugins[i] as Validating;
    if (!plugin.handles(request)) continue;
    timer?.asking(plugin);
    const answer = plugin.validate(request);
    if (answer instanceof Promise)
      return answer.then(() => {
        timer?.passed(plugin);
        return validateFrom(i + 1, plugins, passing);
      });
    timer?.passed(plugin);
  }
  return undefined;
}
