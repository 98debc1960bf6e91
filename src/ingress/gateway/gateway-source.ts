// The objects of the Gateway API, watched while the cluster has their definitions: whoever installs them, and whenever. Without
// them one definition is watched and nothing else; without a GatewayClass of ours, nothing but classes.

import type { KubernetesObject } from "../../api/meta/object.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import { customresourcedefinitions } from "../../api/resources.generated.ts";
import { isConditionTrue } from "../../api/semantics/conditions.ts";
import type { CustomResourceDefinition } from "../../api/types/apiextensions-v1.ts";
import type { Informer, InformerFactory } from "../../client/informer.ts";
import { gatewayControllerName } from "./gateway-plan.ts";
import {
  type Gateway,
  type GatewayClass,
  type GRPCRoute,
  gatewayclasses,
  gatewayGroup,
  gateways,
  grpcroutes,
  type HTTPRoute,
  httproutes,
  type ReferenceGrant,
  referencegrants,
} from "./gateway-types.ts";

export interface GatewayObjects {
  readonly classes: readonly GatewayClass[];
  readonly gateways: readonly Gateway[];
  readonly routes: readonly HTTPRoute[];
  readonly grpcRoutes: readonly GRPCRoute[];
  readonly grants: readonly ReferenceGrant[];
}

const nothing: GatewayObjects = { classes: [], gateways: [], routes: [], grpcRoutes: [], grants: [] };

/** Kinds by plural. */
const wantedKinds = ["gateways", "httproutes", "grpcroutes", "referencegrants"] as const;

export class GatewaySource {
  readonly #informers: InformerFactory;
  readonly #changed: () => void;
  readonly #kinds: readonly (typeof wantedKinds)[number][];
  readonly #definitions = new Map<string, Informer<CustomResourceDefinition>>();
  /** By plural and version. */
  readonly #watched = new Map<string, { readonly informer: Informer<KubernetesObject>; readonly type: ResourceType }>();
  readonly #handlers = new Map<string, { remove(): void }>();

  /** `changed` is called whenever the objects may have. `onlyDemand`: classes and gateways are all that is asked for. */
  constructor(informers: InformerFactory, changed: () => void, { onlyDemand = false }: { readonly onlyDemand?: boolean } = {}) {
    this.#informers = informers;
    this.#changed = changed;
    this.#kinds = onlyDemand ? ["gateways"] : wantedKinds;
  }

  start(): void {
    this.#followDefinition("gatewayclasses");
  }

  stop(): void {
    for (const handler of this.#handlers.values()) handler.remove();
    this.#handlers.clear();
  }

  /** Resolves when what is watched has been seen as it is. */
  async synced(signal: AbortSignal): Promise<void> {
    await Promise.all([...this.#definitions.values()].map((informer) => informer.synced(signal)));
  }

  /** Brings what is watched in line with the definitions, and gives the objects as far as they are known. */
  async look(signal: AbortSignal): Promise<GatewayObjects> {
    const classes = await this.#follow("gatewayclasses", () => gatewayclasses, signal);
    const own = classes.filter(({ spec }) => spec?.controllerName === gatewayControllerName);
    if (own.length === 0) {
      for (const kind of this.#kinds) await this.#forget(kind);
      return nothing;
    }
    for (const kind of this.#kinds) this.#followDefinition(kind);
    await this.synced(signal);
    return {
      classes: own,
      gateways: await this.#follow("gateways", () => gateways, signal),
      routes: await this.#follow("httproutes", () => httproutes, signal),
      grpcRoutes: await this.#follow("grpcroutes", () => grpcroutes, signal),
      grants: await this.#follow("referencegrants", referencegrants, signal),
    };
  }

  #followDefinition(kind: string): void {
    if (this.#definitions.has(kind)) return;
    const informer = this.#informers.informer(customresourcedefinitions, { fieldSelector: `metadata.name=${kind}.${gatewayGroup}` });
    this.#definitions.set(kind, informer);
    const { onAdd, onDelete } = { onAdd: this.#changed, onDelete: this.#changed };
    this.#handlers.set(
      `definition ${kind}`,
      informer.addHandler({
        ...{ onAdd, onDelete },
        onUpdate: (now, before) => void (servedVersion(now) === servedVersion(before) || this.#changed()),
      }),
    );
    this.#informers.start();
  }

  /** The objects of a kind that is served; none of others. */
  async #follow<T extends KubernetesObject>(
    kind: string,
    typeOf: (version: string) => ResourceType<T>,
    signal: AbortSignal,
  ): Promise<readonly T[]> {
    const version = servedVersion(this.#definitions.get(kind)?.get(`${kind}.${gatewayGroup}`));
    if (version === undefined) {
      await this.#forget(kind);
      return [];
    }
    const type = typeOf(version);
    const informer = this.#informers.informer(type);
    if (!this.#watched.has(kind)) {
      this.#watched.set(kind, { informer: informer as unknown as Informer<KubernetesObject>, type }); // handlers look at metadata alone
      const changed = this.#changed;
      this.#handlers.set(kind, informer.addHandler({ onAdd: changed, onUpdate: changed, onDelete: changed }));
      this.#informers.start();
    }
    await informer.synced(signal);
    return [...informer.list()];
  }

  async #forget(kind: string): Promise<void> {
    const watched = this.#watched.get(kind);
    if (!watched) return;
    this.#watched.delete(kind);
    this.#handlers.get(kind)?.remove();
    this.#handlers.delete(kind);
    await this.#informers.drop(watched.type);
  }
}

/** v1 where it is served, else v1beta1, which has the same fields here; undefined: none, or not yet. */
function servedVersion(definition: CustomResourceDefinition | undefined): string | undefined {
  if (!definition || definition.metadata.deletionTimestamp !== undefined) return undefined;
  if (!isConditionTrue(definition.status?.conditions, "Established")) return undefined;
  const served = definition.spec.versions.filter((version) => version.served).map(({ name }) => name);
  return ["v1", "v1beta1"].find((version) => served.includes(version));
}
