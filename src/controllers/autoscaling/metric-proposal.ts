// What one metric of an autoscaler proposes: how many pods, what the metric is called in messages, and its present value for
// the status. Throws MetricError where the metric cannot be had.
import { milliQuantity, parseQuantity } from "../../api/meta/quantity.ts";
import type {
  ContainerResourceMetricSource,
  ExternalMetricSource,
  MetricIdentifier,
  MetricSpec,
  MetricStatus,
  MetricTarget,
  MetricValueStatus,
  ObjectMetricSource,
  PodsMetricSource,
  ResourceMetricSource,
} from "../../api/types/autoscaling-v2.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { Quantity } from "../../api/types/quantity.ts";
import { selectorText } from "../disruption/budget-status.ts";
import type { AutoscalerOptions, Tolerances } from "./autoscaler-options.ts";
import { MetricError } from "./metric-error.ts";
import type { MetricSource } from "./metric-source.ts";
import { type ReplicaCount, replicasForAverage, replicasForShare, replicasForTotal, replicasForUtilization } from "./replica-count.ts";

export interface Proposal {
  readonly replicas: number;
  /** "cpu resource utilization (percentage of request)". */
  readonly metric: string;
  readonly status: MetricStatus;
}

export interface ProposalContext {
  readonly source: MetricSource;
  readonly namespace: string;
  /** The target's, as its scale gives it. */
  readonly selector: string;
  readonly pods: readonly Pod[];
  readonly specReplicas: number;
  readonly statusReplicas: number;
  readonly tolerances: Tolerances;
  readonly nowMs: number;
  readonly options: AutoscalerOptions;
  readonly signal: AbortSignal;
}

export async function proposeReplicas(metric: MetricSpec, context: ProposalContext): Promise<Proposal> {
  const { type, resource, containerResource, pods, object, external } = metric;
  if (type === "Resource" && resource)
    return explained(context, "FailedGetResourceMetric", `failed to get ${resource.name} resource metric value`, () =>
      proposeForResource(resource, context),
    );
  if (type === "ContainerResource" && containerResource)
    return explained(
      context,
      "FailedGetContainerResourceMetric",
      `failed to get ${containerResource.container} container metric value`,
      () => proposeForResource(containerResource, context),
    );
  if (type === "Pods" && pods)
    return explained(context, "FailedGetPodsMetric", "failed to get pods metric value", () => proposeForPods(pods, context));
  if (type === "Object" && object)
    return explained(context, "FailedGetObjectMetric", "failed to get object metric value", () => proposeForObject(object, context));
  if (type === "External" && external)
    return explained(context, "FailedGetExternalMetric", `failed to get ${external.metric.name} external metric value`, () =>
      proposeForExternal(external, context),
    );
  const unknown = `unknown metric source type ${JSON.stringify(type)}`;
  throw new MetricError("InvalidMetricSourceType", unknown, unknown);
}

/** What failed is told in full in the report, and from the inner error on in condition and event. */
async function explained(context: ProposalContext, reason: string, what: string, propose: () => Promise<Proposal>): Promise<Proposal> {
  try {
    return await propose();
  } catch (error) {
    if (context.signal.aborted) throw error;
    const { detail, message } = failureOf(error);
    throw new MetricError(reason, detail, `${what}: ${message}`);
  }
}

/** An error whose message has one more layer in the report than in condition and event, which is how upstream has it. */
class LayeredError extends Error {
  readonly detail: string;

  constructor(detail: string, message: string) {
    super(message);
    this.detail = detail;
  }
}

function failureOf(error: unknown): { readonly detail: string; readonly message: string } {
  const message = error instanceof Error ? error.message : String(error);
  return { detail: error instanceof LayeredError ? error.detail : message, message };
}

async function proposeForResource(spec: ResourceMetricSource | ContainerResourceMetricSource, context: ProposalContext): Promise<Proposal> {
  const { name, target } = spec;
  const container = "container" in spec ? spec.container : undefined;
  const measured = await measureResource({ name, target, container }, context);
  const utilizationName = `${name} ${container === undefined ? "" : "container "}resource utilization (percentage of request)`;
  return {
    replicas: measured.replicas,
    metric: target.averageValue === undefined ? utilizationName : `${name} resource`,
    status:
      container === undefined
        ? { type: "Resource", resource: { name, current: measured.current } }
        : { type: "ContainerResource", containerResource: { name, container, current: measured.current } },
  };
}

async function measureResource(
  { name, target, container }: { readonly name: string; readonly target: MetricTarget; readonly container: string | undefined },
  context: ProposalContext,
): Promise<{ readonly replicas: number; readonly current: MetricValueStatus }> {
  const { source, namespace, selector, signal, pods, tolerances, nowMs, options } = context;
  const { averageValue, averageUtilization } = target;
  if (averageValue === undefined && averageUtilization === undefined)
    throw new Error("invalid resource metric source: neither an average utilization target nor an average value (usage) target was set");
  const format = name === "memory" ? "BinarySI" : "DecimalSI";
  const inContainer = container === undefined ? {} : { container };
  return layered(`failed to get ${name} ${averageValue === undefined ? "utilization" : "usage"}`, async () => {
    const metrics = await layered(`unable to get metrics for resource ${name}`, () =>
      source.resource({ namespace, resource: name, selector, ...inContainer, signal }),
    );
    const input = { current: context.specReplicas, metrics, pods, resource: name, tolerances, nowMs, options };
    if (averageValue !== undefined) {
      const { replicas, usage } = replicasForAverage(input, millisOf(averageValue));
      return { replicas, current: { averageValue: quantityText(usage, format) } };
    }
    const { replicas, usage, utilization } = replicasForUtilization({ ...input, ...inContainer }, averageUtilization ?? 0);
    return { replicas, current: { averageUtilization: utilization, averageValue: quantityText(usage, format) } };
  });
}

async function proposeForPods({ metric, target }: PodsMetricSource, context: ProposalContext): Promise<Proposal> {
  const { source, namespace, selector, signal, pods, tolerances, nowMs, options } = context;
  const metrics = await layered(`unable to get metric ${metric.name}`, () => source.pods({ namespace, metric, selector, signal }));
  const input = { current: context.specReplicas, metrics, pods, resource: "", tolerances, nowMs, options };
  const { replicas, usage } = replicasForAverage(input, millisOf(target.averageValue ?? "0"));
  const status: MetricStatus = { type: "Pods", pods: { metric, current: { averageValue: quantityText(usage) } } };
  return { replicas, metric: `pods metric ${metric.name}`, status };
}

async function proposeForObject(spec: ObjectMetricSource, context: ProposalContext): Promise<Proposal> {
  const { describedObject: object, metric, target } = spec;
  const { source, namespace, signal } = context;
  const isTotal = target.type === "Value" && target.value !== undefined;
  if (!isTotal && (target.type !== "AverageValue" || target.averageValue === undefined))
    throw new Error("invalid object metric source: neither a value target nor an average value target was set");
  const read = async (): Promise<number> => {
    try {
      return await source.object({ namespace, metric, object, signal });
    } catch (error) {
      if (signal.aborted) throw error;
      const detail = `unable to get metric ${metric.name}: ${object.kind} on ${namespace} ${object.name}/${failureOf(error).message}`;
      throw new LayeredError(detail, isTotal ? detail : `failed to get ${metric.name} object metric: ${detail}`);
    }
  };
  const usage = await read();
  const { count, current } = againstTotalOrShare(usage, target, context);
  const status: MetricStatus = { type: "Object", object: { describedObject: object, metric, current } };
  const name = isTotal ? `${object.kind} metric ${metric.name}` : externalName(metric);
  return { replicas: count.replicas, metric: name, status };
}

async function proposeForExternal({ metric, target }: ExternalMetricSource, context: ProposalContext): Promise<Proposal> {
  const { source, namespace, signal } = context;
  if (target.averageValue === undefined && target.value === undefined)
    throw new Error("invalid external metric source: neither a value target nor an average value target was set");
  const layer =
    target.averageValue === undefined ? `failed to get external metric ${metric.name}` : `failed to get ${metric.name} external metric`;
  const values = await source.external({ namespace, metric, signal }).catch((error: unknown) => {
    if (signal.aborted) throw error;
    const detail = `unable to get external metric ${namespace}/${metric.name}/${metricSelectorText(metric)}: ${failureOf(error).message}`;
    throw new LayeredError(detail, `${layer}: ${detail}`);
  });
  const usage = Math.min(
    Number.MAX_SAFE_INTEGER,
    values.reduce((sum, value) => sum + value, 0),
  );
  const { count, current } = againstTotalOrShare(usage, target, context);
  return { replicas: count.replicas, metric: externalName(metric), status: { type: "External", external: { metric, current } } };
}

/** Compares a metric of the whole target with a target for all pods together, or with one for each. */
function againstTotalOrShare(
  usage: number,
  { value, averageValue }: MetricTarget,
  { specReplicas, statusReplicas, tolerances, pods }: ProposalContext,
): { readonly count: ReplicaCount; readonly current: MetricValueStatus } {
  if (averageValue !== undefined) {
    const count = replicasForShare({ current: statusReplicas, usage, target: millisOf(averageValue), tolerances });
    return { count, current: { averageValue: quantityText(count.usage) } };
  }
  const count = replicasForTotal({ current: specReplicas, usage, target: millisOf(value ?? "0"), tolerances, pods });
  return { count, current: { value: quantityText(count.usage) } };
}

async function layered<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new Error(`${what}: ${failureOf(error).message}`, { cause: error });
  }
}

const metricSelectorText = ({ selector }: MetricIdentifier): string => (selector ? selectorText(selector) : "nil");

const externalName = (metric: MetricIdentifier): string => `external metric ${metric.name}(${metricSelectorText(metric)})`;

const millisOf = (quantity: Quantity): number => parseQuantity(quantity).milliValue();

const quantityText = (millis: number, format: "BinarySI" | "DecimalSI" = "DecimalSI"): string =>
  milliQuantity(Math.max(-Number.MAX_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, Math.trunc(millis))), format).toString();
