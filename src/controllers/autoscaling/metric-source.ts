// Where an autoscaler's figures come from: the resource, custom and external metrics APIs, which aggregated servers serve.
// Amounts are in thousandths. Errors say what upstream's clients say, so that a condition names the API that is missing.

import { parseQuantity } from "../../api/meta/quantity.ts";
import { labelMatcher } from "../../api/meta/selectors.ts";
import { StatusError } from "../../api/meta/status-error.ts";
import { parseTime } from "../../api/meta/time.ts";
import { groupResourceOf } from "../../api/resource-type.ts";
import type { CrossVersionObjectReference, MetricIdentifier } from "../../api/types/autoscaling-v2.ts";
import type { Quantity } from "../../api/types/quantity.ts";
import type { Clock } from "../../base/clock.ts";
import { parseDuration } from "../../base/duration.ts";
import type { Client } from "../../client/client.ts";
import { ServedResources } from "../served-resources.ts";

export interface PodMetric {
  readonly millis: number;
  readonly atMs: number;
  /** The time over which it was measured. */
  readonly windowMs: number;
}

/** By pod name. */
export type PodMetrics = ReadonlyMap<string, PodMetric>;

export interface MetricSourceDeps {
  readonly client: Client;
  readonly clock: Clock;
}

interface ResourceMetrics {
  readonly metadata: { readonly name: string };
  readonly timestamp?: string;
  readonly window?: string;
  readonly containers?: readonly { readonly name: string; readonly usage?: Readonly<Record<string, Quantity>> }[];
}

interface MetricValue {
  readonly describedObject?: { readonly name?: string };
  readonly timestamp?: string;
  readonly windowSeconds?: number;
  /** The name of windowSeconds in v1beta1. */
  readonly window?: number;
  readonly value: Quantity;
}

interface Answer<T> {
  readonly items?: readonly T[];
}

interface ApiGroup {
  readonly name: string;
  readonly preferredVersion?: { readonly version: string };
  readonly versions?: readonly { readonly version: string }[];
}

const customGroup = "custom.metrics.k8s.io";
const customVersions = ["v1beta1", "v1beta2"];
const defaultWindowMs = 60_000;
const versionLifetimeMs = 15_000;

export class MetricSource {
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #served: ServedResources;
  #custom: { readonly version: string; readonly atMs: number } | undefined;

  constructor(deps: MetricSourceDeps) {
    this.#client = deps.client;
    this.#clock = deps.clock;
    this.#served = new ServedResources(deps);
  }

  /** What the pods that a selector selects use of a resource, in all their containers or in one. */
  async resource(query: {
    readonly namespace: string;
    readonly resource: string;
    readonly selector: string;
    readonly container?: string;
    readonly signal: AbortSignal;
  }): Promise<PodMetrics> {
    const { namespace, resource, selector, container, signal } = query;
    const path = `/apis/metrics.k8s.io/v1beta1/namespaces/${encodeURIComponent(namespace)}/pods`;
    const items = await this.#ask<ResourceMetrics>("resource", path, {
      query: { labelSelector: selector },
      what: "pods.metrics.k8s.io",
      signal,
    });
    const metrics = new Map<string, PodMetric>();
    for (const item of items) {
      const millis = container === undefined ? usageOfPod(item, resource) : usageOfContainer(item, resource, container);
      if (millis === undefined) continue;
      metrics.set(item.metadata.name, {
        millis,
        atMs: parseTime(item.timestamp ?? "") ?? 0,
        windowMs: parseDuration(item.window ?? "") ?? 0,
      });
    }
    return metrics;
  }

  /** A custom metric of each pod that a selector selects. */
  async pods(query: {
    readonly namespace: string;
    readonly metric: MetricIdentifier;
    readonly selector: string;
    readonly signal: AbortSignal;
  }): Promise<PodMetrics> {
    const { namespace, metric, selector, signal } = query;
    const items = await this.#askCustom(`namespaces/${encodeURIComponent(namespace)}/pods/*/${encodeURIComponent(metric.name)}`, {
      query: { labelSelector: selector, metricLabelSelector: selectorText(metric) },
      what: "pods",
      name: "*",
      signal,
    });
    return new Map(items.map((item) => [item.describedObject?.name ?? "", podMetricOf(item)]));
  }

  /** A custom metric of one object in the autoscaler's namespace, or of that namespace. */
  async object(query: {
    readonly namespace: string;
    readonly metric: MetricIdentifier;
    readonly object: CrossVersionObjectReference;
    readonly signal: AbortSignal;
  }): Promise<number> {
    const { namespace, metric, object, signal } = query;
    const { kind, name } = object;
    const group = groupOf(object.apiVersion ?? "");
    const isNamespace = kind === "Namespace" && group === "";
    const resource = isNamespace ? "metrics" : await this.#resourceOf(group, kind, signal);
    const tail = isNamespace ? ["metrics", metric.name] : [resource, name, metric.name];
    const path = ["namespaces", namespace, ...tail].map(encodeURIComponent).join("/");
    const asked = { query: { metricLabelSelector: selectorText(metric) }, what: resource, name: isNamespace ? metric.name : name, signal };
    const items = await this.#askCustom(path, { ...asked, mayBeEmpty: true });
    const [value] = items;
    if (!value || items.length !== 1)
      throw customError(`the custom metrics API server returned ${items.length} results when we asked for exactly one`);
    return millisOf(value.value);
  }

  /** The values of a metric of something outside the cluster. */
  async external(query: {
    readonly namespace: string;
    readonly metric: MetricIdentifier;
    readonly signal: AbortSignal;
  }): Promise<readonly number[]> {
    const { namespace, metric, signal } = query;
    const path = `/apis/external.metrics.k8s.io/v1beta1/namespaces/${encodeURIComponent(namespace)}/${encodeURIComponent(metric.name)}`;
    const what = `${metric.name}.external.metrics.k8s.io`;
    const items = await this.#ask<MetricValue>("external", path, { query: { labelSelector: selectorText(metric) }, what, signal });
    return items.map(({ value }) => millisOf(value));
  }

  async #askCustom(
    path: string,
    options: {
      readonly query: Readonly<Record<string, string>>;
      readonly what: string;
      readonly name: string;
      readonly mayBeEmpty?: boolean;
      readonly signal: AbortSignal;
    },
  ): Promise<readonly MetricValue[]> {
    const version = await this.#customVersion(options.signal);
    const what = `${options.what}.${customGroup} ${options.name}`;
    return this.#ask<MetricValue>("custom", `/apis/${customGroup}/${version}/${path}`, { ...options, what });
  }

  async #ask<T>(
    api: "resource" | "custom" | "external",
    path: string,
    options: {
      readonly query: Readonly<Record<string, string>>;
      readonly what: string;
      readonly mayBeEmpty?: boolean;
      readonly signal: AbortSignal;
    },
  ): Promise<readonly T[]> {
    const search = new URLSearchParams(Object.entries(options.query).filter(([, value]) => value !== "")).toString();
    let items: readonly T[];
    try {
      const answer = await this.#client.raw("GET", search === "" ? path : `${path}?${search}`, { signal: options.signal });
      items = (answer as Answer<T>).items ?? [];
    } catch (error) {
      if (options.signal.aborted) throw error;
      throw new Error(`unable to fetch metrics from ${api} metrics API: ${answerText(error, options.what)}`, { cause: error });
    }
    if (items.length === 0 && !options.mayBeEmpty) throw new Error(`no metrics returned from ${api} metrics API`);
    return items;
  }

  /** The version of the custom metrics API that the server prefers of those that are known; asked again every 15 s. */
  async #customVersion(signal: AbortSignal): Promise<string> {
    const nowMs = this.#clock.monotonic();
    if (this.#custom && nowMs - this.#custom.atMs < versionLifetimeMs) return this.#custom.version;
    const list = (await this.#client.raw("GET", "/apis", { signal })) as { readonly groups?: readonly ApiGroup[] };
    const group = list.groups?.find(({ name }) => name === customGroup);
    if (!group) throw customError(`no custom metrics API (${customGroup}) registered`);
    const offered = [group.preferredVersion, ...(group.versions ?? [])].flatMap((each) => each?.version ?? []);
    const version = offered.find((each) => customVersions.includes(each));
    if (version === undefined) throw customError("no known available metric versions found");
    this.#custom = { version, atMs: nowMs };
    return version;
  }

  async #resourceOf(group: string, kind: string, signal: AbortSignal): Promise<string> {
    const type = await this.#served.find((each) => each.group === group && each.kind === kind, signal);
    if (type) return groupResourceOf(type);
    const named = group === "" ? kind : `${kind}.${group}`;
    throw customError(`unable to map kind ${named} to resource: no matches for kind "${kind}" in group "${group}"`);
  }
}

const customError = (message: string): Error => new Error(`unable to fetch metrics from custom metrics API: ${message}`);

function usageOfPod({ containers = [] }: ResourceMetrics, resource: string): number | undefined {
  let sum = 0;
  for (const { usage } of containers) {
    const amount = usage?.[resource];
    if (amount === undefined) return undefined;
    sum += millisOf(amount);
  }
  return containers.length === 0 ? undefined : sum;
}

function usageOfContainer({ containers = [] }: ResourceMetrics, resource: string, name: string): number | undefined {
  const amount = containers.find((container) => container.name === name)?.usage?.[resource];
  return amount === undefined ? undefined : millisOf(amount);
}

function podMetricOf({ value, timestamp = "", windowSeconds, window }: MetricValue): PodMetric {
  const seconds = windowSeconds ?? window;
  return { millis: millisOf(value), atMs: parseTime(timestamp) ?? 0, windowMs: seconds === undefined ? defaultWindowMs : seconds * 1000 };
}

const millisOf = (quantity: Quantity): number => parseQuantity(quantity).milliValue();

const groupOf = (apiVersion: string): string => (apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "");

/** A metric's own selector; none selects all of it. */
function selectorText({ selector }: MetricIdentifier): string {
  return selector ? labelMatcher(selector).toString() : "";
}

const answers: Readonly<Record<number, string>> = {
  404: "the server could not find the requested resource",
  503: "the server is currently unable to handle the request",
};

/** A server that says no more than its code is quoted with what was asked of it. */
function answerText(error: unknown, what: string): string {
  if (!(error instanceof StatusError)) return error instanceof Error ? error.message : String(error);
  const general = answers[error.code];
  // Of an answer that is no Status our client says what was asked first.
  const saysMore = error.message !== general && !error.message.startsWith("GET ");
  return general === undefined || saysMore ? error.message : `${general} (get ${what})`;
}
