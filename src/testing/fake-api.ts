// A small API in memory for tests of the client and of control loops: names, uids, versions, conflicts, finalizers, status
// subresources, patches and watches over the built-in resources. It has no defaults, validation or admission.
import type { KubernetesObject } from "../api/meta/object.ts";
import { labelMatcher, parseFieldSelector, parseLabelSelector } from "../api/meta/selectors.ts";
import { alreadyExists, conflict, expired, notFound, StatusError } from "../api/meta/status-error.ts";
import { applyMergePatch } from "../api/patch/merge-patch.ts";
import { applyStrategicMergePatch } from "../api/patch/strategic-merge-patch.ts";
import { groupVersionPath, type ResourceType } from "../api/resource-type.ts";
import { builtInResources } from "../api/resources.generated.ts";
import { builtInSchemas } from "../api/schema/schema.ts";
import type { DeleteOptions, LabelSelector } from "../api/types/meta-v1.ts";
import { type Clock, formatTime } from "../base/clock.ts";
import { deepFreeze } from "../base/deep-freeze.ts";
import type { RawWatchEvent, Transport, TransportRequest, TransportResponse } from "../client/transport.ts";

interface Target {
  readonly type: ResourceType;
  readonly namespace: string;
  readonly name: string;
  readonly subresource: string;
}

interface LoggedEvent extends RawWatchEvent {
  readonly version: number;
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: KubernetesObject;
  readonly resource: ResourceType;
}

type Json = Readonly<Record<string, unknown>>;

export interface FakeApi extends Transport {
  /** Called before each request; throw to make it fail. */
  intercept: (request: TransportRequest) => void;
  /** Serves what it has an answer for, as aggregated servers do; undefined leaves the request to the API. */
  answer: (request: TransportRequest) => unknown;
  /** How late watches tell of changes, by path: a cache that lags. */
  watchDelayMs: (path: string) => number;
  /** Ends all watches, as a server does that goes down. */
  breakWatches(): void;
  /** Forgets history: watches from versions before now answer 410. */
  compact(): void;
}

/** `custom`: resources besides the built-in ones. */
export function createFakeApi(clock: Clock, custom: readonly ResourceType[] = []): FakeApi {
  return new MemoryApi(clock, [...builtInResources, ...custom]);
}

class MemoryApi implements FakeApi {
  intercept: FakeApi["intercept"] = () => undefined;
  answer: FakeApi["answer"] = () => undefined;
  watchDelayMs: FakeApi["watchDelayMs"] = () => 0;
  readonly #clock: Clock;
  readonly #resources: readonly ResourceType[];
  readonly #objects = new Map<string, { readonly type: ResourceType; readonly object: KubernetesObject }>();
  #version = 1;
  #compacted = 0;
  #log: LoggedEvent[] = [];
  readonly #wake = new Set<(ended: boolean) => void>();

  constructor(clock: Clock, resources: readonly ResourceType[]) {
    this.#clock = clock;
    this.#resources = resources;
  }

  async request(request: TransportRequest): Promise<TransportResponse> {
    try {
      this.intercept(request);
      request.signal?.throwIfAborted();
      return {
        status: request.method === "POST" ? 201 : 200,
        body: deepFreeze(this.answer(request) ?? this.#serve(request)),
        warnings: [],
      };
    } catch (error) {
      if (error instanceof StatusError) return { status: error.code, body: error.status, warnings: [] };
      throw error;
    }
  }

  async watch(request: TransportRequest): Promise<AsyncIterable<readonly RawWatchEvent[]>> {
    this.intercept(request);
    const from = Number(request.query?.resourceVersion ?? 0);
    if (from < this.#compacted) throw expired(`too old resource version: ${from} (${this.#compacted})`);
    return this.#events(targetOf(request.path, this.#resources), request, from);
  }

  async close(): Promise<void> {
    this.breakWatches();
  }

  breakWatches(): void {
    for (const wake of [...this.#wake]) wake(true);
  }

  compact(): void {
    this.#compacted = this.#version;
    this.#log = [];
  }

  async *#events(target: Target, request: TransportRequest, from: number): AsyncGenerator<readonly RawWatchEvent[]> {
    let seen = from;
    const matches = filterOf(request);
    for (;;) {
      const fresh = this.#log.filter((event) => event.version > seen);
      seen = this.#version;
      const events = fresh.filter(({ resource, object }) => resource === target.type && isIn(object, target.namespace) && matches(object));
      if (events.length > 0) yield events;
      if (this.#version > seen) continue;
      if (await this.#nextWake(request.signal)) return;
      const delayMs = this.watchDelayMs(request.path);
      if (delayMs > 0) await this.#clock.sleep(delayMs, request.signal).catch(() => undefined);
    }
  }

  #nextWake(signal: AbortSignal | undefined): Promise<boolean> {
    return new Promise((resolve) => {
      const wake = (ended: boolean): void => {
        this.#wake.delete(wake);
        signal?.removeEventListener("abort", onAbort);
        resolve(ended);
      };
      const onAbort = (): void => wake(true);
      if (signal?.aborted) return resolve(true);
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#wake.add(wake);
    });
  }

  #serve(request: TransportRequest): unknown {
    if (request.path === "/api" || request.path === "/apis") return discoveryOf(request.path === "/api");
    const target = targetOf(request.path, this.#resources);
    if (target.subresource === "scale") return this.#scale(target, request);
    if (request.method === "POST")
      return target.subresource ? this.#bind(target, request.body as Json) : this.#create(target, request.body as Json);
    if (target.name === "") return request.method === "GET" ? this.#list(target, request) : this.#deleteCollection(target, request);
    switch (request.method) {
      case "GET":
        return this.#get(target);
      case "PUT":
        return this.#write(target, request.body as KubernetesObject);
      case "PATCH":
        return this.#patch(target, request);
      case "DELETE":
        return this.#delete(target, (request.body ?? {}) as DeleteOptions);
    }
  }

  #get(target: Target): KubernetesObject {
    const found = this.#objects.get(keyOf(target));
    if (!found) throw notFound(target.type, target.name);
    return found.object;
  }

  /** The scale of anything with replicas and a selector of labels. */
  #scale(target: Target, { method, body }: TransportRequest): unknown {
    type Scaled = KubernetesObject & {
      readonly spec: { replicas?: number; selector?: LabelSelector };
      readonly status?: { replicas?: number };
    };
    const object = this.#get(target) as Scaled;
    const resized = method === "PUT" ? (body as { readonly spec: { readonly replicas: number } }).spec.replicas : undefined;
    const { spec, metadata, status } =
      resized === undefined
        ? object
        : (this.#write({ ...target, subresource: "" }, { ...object, spec: { ...object.spec, replicas: resized } } as Scaled) as Scaled);
    const { name, namespace, uid, resourceVersion } = metadata;
    const replicas = spec.replicas ?? 0;
    const selector = spec.selector ? labelMatcher(spec.selector).toString() : "";
    return {
      apiVersion: "autoscaling/v1",
      kind: "Scale",
      metadata: { name, namespace, uid, resourceVersion },
      spec: { replicas },
      status: { replicas: status?.replicas ?? replicas, selector },
    };
  }

  #list(target: Target, request: TransportRequest): unknown {
    const matches = filterOf(request);
    const items = [...this.#objects.values()]
      .filter(({ type, object }) => type === target.type && isIn(object, target.namespace) && matches(object))
      .map(({ object }) => object);
    return { apiVersion: "v1", kind: `${target.type.kind}List`, metadata: { resourceVersion: String(this.#version) }, items };
  }

  #create(target: Target, body: Json): KubernetesObject {
    const { metadata: given = {}, ...rest } = body as { metadata?: Json };
    const generated = `${String(given.generateName ?? "")}${Math.floor(this.#clock.random() * 1e9).toString(36)}`;
    const name = String(given.name ?? generated);
    const key = keyOf({ ...target, name });
    if (this.#objects.has(key)) throw alreadyExists(target.type, name);
    const metadata = {
      ...given,
      name,
      ...(target.type.namespaced ? { namespace: target.namespace } : {}),
      uid: `uid-${this.#version}-${name}`,
      creationTimestamp: formatTime(this.#clock.now()),
      generation: 1,
    };
    const status = target.type.resource === "pods" ? { status: { phase: "Pending", ...((rest as { status?: Json }).status ?? {}) } } : {};
    return this.#store("ADDED", { ...target, name }, { ...rest, ...status, metadata } as unknown as KubernetesObject);
  }

  #write(target: Target, body: KubernetesObject): KubernetesObject {
    const old = this.#get(target);
    const { resourceVersion } = body.metadata;
    if (resourceVersion && resourceVersion !== old.metadata.resourceVersion) {
      throw conflict(
        target.type,
        target.name,
        "the object has been modified; please apply your changes to the latest version and try again",
      );
    }
    const sent = body as unknown as Json;
    const stored = old as unknown as Json;
    const merged =
      target.subresource === "status" || target.subresource === "approval"
        ? { ...stored, metadata: { ...old.metadata, annotations: body.metadata.annotations }, status: sent.status }
        : { ...sent, status: stored.status };
    const changed = JSON.stringify(sent.spec) !== JSON.stringify(stored.spec) && target.subresource === "";
    const generation = (old.metadata.generation ?? 1) + (changed ? 1 : 0);
    const { uid, creationTimestamp, deletionTimestamp } = old.metadata;
    const kept = { uid, creationTimestamp, generation, ...(deletionTimestamp ? { deletionTimestamp } : {}) };
    const metadata = { ...(merged as unknown as KubernetesObject).metadata, ...kept };
    const object = { ...merged, metadata } as unknown as KubernetesObject;
    if (JSON.stringify(object) === JSON.stringify(old)) return old;
    if (deletionTimestamp && (target.type.resource !== "pods" || isHeld(old, target.type)) && !isHeld(object, target.type))
      return this.#remove(target, object);
    return this.#store("MODIFIED", target, object);
  }

  #patch(target: Target, request: TransportRequest): KubernetesObject {
    const old = this.#get(target);
    const strategic = request.contentType?.includes("strategic") && target.type.schema;
    const patched = strategic
      ? applyStrategicMergePatch(old, request.body, builtInSchemas.get(target.type.schema ?? ""))
      : applyMergePatch(old, request.body as Json);
    if (patched.metadata.uid !== old.metadata.uid) throw conflict(target.type, target.name, "the uid in the precondition does not match");
    return this.#write(target, patched);
  }

  #bind(target: Target, body: Json): unknown {
    if (target.subresource === "token") return { ...body, status: { token: `token of ${this.#get(target).metadata.uid}` } };
    if (target.subresource !== "binding") throw new StatusError({ code: 404, message: `no subresource ${target.subresource}` });
    const pod = this.#get(target) as KubernetesObject & { readonly spec: Json };
    const nodeName = (body.target as Json).name;
    this.#store("MODIFIED", target, { ...pod, spec: { ...pod.spec, nodeName } } as KubernetesObject);
    return { kind: "Status", status: "Success" };
  }

  #deleteCollection(target: Target, request: TransportRequest): unknown {
    const { items } = this.#list(target, request) as { readonly items: readonly KubernetesObject[] };
    for (const { metadata } of items) this.#delete({ ...target, namespace: metadata.namespace ?? "", name: metadata.name }, {});
    return { kind: "Status", status: "Success" };
  }

  #delete(target: Target, options: DeleteOptions): unknown {
    const old = this.#get(target);
    const { uid, resourceVersion } = options.preconditions ?? {};
    if (uid !== undefined && uid !== old.metadata.uid)
      throw conflict(target.type, target.name, `the UID in the precondition (${uid}) does not match`);
    if (resourceVersion !== undefined && resourceVersion !== old.metadata.resourceVersion)
      throw conflict(target.type, target.name, "changed");
    const added =
      options.propagationPolicy === "Foreground" ? ["foregroundDeletion"] : options.propagationPolicy === "Orphan" ? ["orphan"] : [];
    const finalizers = [...new Set([...(old.metadata.finalizers ?? []), ...added])];
    const deletionTimestamp = old.metadata.deletionTimestamp ?? formatTime(this.#clock.now());
    const marked = { ...old, metadata: { ...old.metadata, ...(finalizers.length > 0 ? { finalizers } : {}), deletionTimestamp } };
    const graceful =
      target.type.resource === "pods" && options.gracePeriodSeconds !== 0 && Boolean((old as unknown as { spec?: Json }).spec?.nodeName);
    if (!graceful && !isHeld(marked, target.type)) return this.#remove(target, old);
    return JSON.stringify(marked) === JSON.stringify(old) ? old : this.#store("MODIFIED", target, marked);
  }

  #remove(target: Target, object: KubernetesObject): KubernetesObject {
    this.#objects.delete(keyOf(target));
    return this.#record("DELETED", target.type, object);
  }

  #store(kind: "ADDED" | "MODIFIED", target: Target, object: KubernetesObject): KubernetesObject {
    const stored = this.#record(kind, target.type, object);
    this.#objects.set(keyOf(target), { type: target.type, object: stored });
    return stored;
  }

  #record(type: LoggedEvent["type"], resource: ResourceType, object: KubernetesObject): KubernetesObject {
    this.#version++;
    const versioned = deepFreeze({ ...object, metadata: { ...object.metadata, resourceVersion: String(this.#version) } });
    this.#log.push({ version: this.#version, type, object: versioned, resource });
    for (const wake of [...this.#wake]) wake(false);
    return versioned;
  }
}

/** The aggregated discovery document of the core group or of all others. */
function discoveryOf(core: boolean): unknown {
  const served = builtInResources.filter((type) => (type.group === "") === core);
  const items = [...grouped(served, (type) => type.group)].map(([name, types]) => ({
    metadata: { name },
    versions: [...grouped(types, (type) => type.version)].map(([version, resources]) => ({
      version,
      freshness: "Current",
      resources: resources.map(({ resource, singular, kind, namespaced, verbs, group }) => ({
        resource,
        singularResource: singular,
        responseKind: { group, version, kind },
        scope: namespaced ? "Namespaced" : "Cluster",
        verbs,
      })),
    })),
  }));
  return { apiVersion: "apidiscovery.k8s.io/v2", kind: "APIGroupDiscoveryList", metadata: {}, items };
}

function grouped(types: readonly ResourceType[], keyOf: (type: ResourceType) => string): ReadonlyMap<string, readonly ResourceType[]> {
  const groups = new Map<string, ResourceType[]>();
  for (const type of types) groups.set(keyOf(type), [...(groups.get(keyOf(type)) ?? []), type]);
  return groups;
}

/** Finalizers keep any object; a namespace is also kept by those in its spec. */
function isHeld(object: KubernetesObject, type: ResourceType): boolean {
  if ((object.metadata.finalizers ?? []).length > 0) return true;
  const spec = (object as unknown as { readonly spec?: { readonly finalizers?: readonly string[] } }).spec;
  return type.resource === "namespaces" && (spec?.finalizers ?? []).length > 0;
}

function isIn(object: KubernetesObject, namespace: string): boolean {
  return namespace === "" || object.metadata.namespace === namespace;
}

function filterOf(request: TransportRequest): (object: KubernetesObject) => boolean {
  const labels = parseLabelSelector(request.query?.labelSelector ?? "");
  const fields = parseFieldSelector(request.query?.fieldSelector ?? "");
  const valueAt = (object: unknown, path: string): string => {
    const value = path.split(".").reduce<unknown>((at, part) => (at as Json | undefined)?.[part], object);
    return value === undefined ? "" : String(value);
  };
  return (object) => labels.matches(object.metadata.labels) && fields.matches((field) => valueAt(object, field));
}

function keyOf({ type, namespace, name }: Target): string {
  return `${groupVersionPath(type)}/${type.resource}/${namespace}/${name}`;
}

function targetOf(path: string, resources: readonly ResourceType[]): Target {
  const parts = path.split("/").slice(1).map(decodeURIComponent);
  const isCore = parts[0] === "api";
  const [group, version] = isCore ? ["", parts[1]] : [parts[1], parts[2]];
  let rest = parts.slice(isCore ? 2 : 3);
  let namespace = "";
  if (rest[0] === "namespaces" && rest.length > 2 && rest[2] !== "status" && rest[2] !== "finalize") {
    namespace = rest[1] ?? "";
    rest = rest.slice(2);
  }
  const type = resources.find((r) => r.group === group && r.version === version && r.resource === rest[0]);
  if (!type) throw new StatusError({ code: 404, reason: "NotFound", message: "the server could not find the requested resource" });
  return { type, namespace, name: rest[1] ?? "", subresource: rest[2] ?? "" };
}
