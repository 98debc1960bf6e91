// Which requests belong to an extension server: the APIServices that name a service, by group and version, as the server's own
// cache shows them. A request for a group that no extension server has costs one look-up, and none where there is no extension
// server at all.
import { apiservices } from "../../api/resources.generated.ts";
import type { APIService } from "../../api/types/apiregistration-v1.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { AdmissionReader } from "../admission/admission.ts";
import type { RequestInfo } from "../http/request-info.ts";
import { Backend, type BackendDeps, isAvailable } from "./backend.ts";
import { registrationGroup } from "./group-priorities.ts";

export interface BackendListener {
  /** It is there, or its APIService has changed (its condition, most of the time). */
  onChange(backend: Backend, apiService: APIService): void;
  onRemove(backend: Backend): void;
}

export class Backends implements Running {
  readonly #deps: BackendDeps;
  readonly #byName = new Map<string, Backend>();
  readonly #byGroup = new Map<string, Map<string, Backend>>();
  readonly #listeners: BackendListener[] = [];
  #registration: { remove(): void } | undefined;
  #isSynced = false;

  constructor(deps: BackendDeps) {
    this.#deps = deps;
  }

  /** Before the start. */
  addListener(listener: BackendListener): void {
    this.#listeners.push(listener);
  }

  /** Follows the APIServices; resolves when all that are there are known. */
  async start(reader: AdmissionReader): Promise<void> {
    const informer = reader.informer(apiservices);
    const changed = (apiService: APIService): void => this.#put(apiService);
    this.#registration = informer.addHandler({
      onAdd: changed,
      onUpdate: changed,
      onDelete: ({ metadata }) => this.#remove(metadata.name),
    });
    informer.start();
    await informer.synced();
    this.#isSynced = true;
  }

  /** Whether all APIServices are known: before, nobody can say that a group is not served. */
  get isSynced(): boolean {
    return this.#isSynced;
  }

  get isEmpty(): boolean {
    return this.#byName.size === 0;
  }

  all(): Iterable<Backend> {
    return this.#byName.values();
  }

  get(apiService: string): Backend | undefined {
    return this.#byName.get(apiService);
  }

  /** Whose the request is; undefined where it is this server's own. */
  find(info: RequestInfo): Backend | undefined {
    if (info.isResourceRequest) return this.#byGroup.get(info.apiGroup)?.get(info.apiVersion);
    if (!info.path.startsWith("/api")) return undefined;
    const [prefix, first = "", second = "", ...rest] = info.path.split("/").filter((part) => part !== "");
    if (rest.length > 0) return undefined;
    if (prefix === "apis" && second !== "") return this.#byGroup.get(first)?.get(second);
    return prefix === "api" && second === "" ? this.#byGroup.get("")?.get(first) : undefined;
  }

  async stop(): Promise<void> {
    this.#registration?.remove();
    for (const backend of this.#byName.values()) backend.close();
  }

  #put(apiService: APIService): void {
    const { name } = apiService.metadata;
    const known = this.#byName.get(name);
    if (!apiService.spec.service) return this.#remove(name);
    if (known && !known.serves(apiService)) this.#remove(name);
    const backend = this.#byName.get(name) ?? this.#add(new Backend(this.#deps, apiService));
    backend.available = isAvailable(apiService);
    for (const listener of this.#listeners) listener.onChange(backend, apiService);
  }

  #add(backend: Backend): Backend {
    this.#byName.set(backend.apiService, backend);
    // APIServices themselves are never somebody else's: nobody could take that back.
    if (backend.group === registrationGroup) return backend;
    const versions = this.#byGroup.get(backend.group) ?? new Map<string, Backend>();
    this.#byGroup.set(backend.group, versions.set(backend.version, backend));
    return backend;
  }

  #remove(name: string): void {
    const backend = this.#byName.get(name);
    if (!backend) return;
    this.#byName.delete(name);
    const versions = this.#byGroup.get(backend.group);
    versions?.delete(backend.version);
    if (versions?.size === 0) this.#byGroup.delete(backend.group);
    backend.retire();
    for (const listener of this.#listeners) listener.onRemove(backend);
  }
}
