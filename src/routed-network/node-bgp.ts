// What the routing daemon of one node is to do besides speaking with its neighbours: follows BGPPeer and BGPConfiguration objects, and,
// only where peers are told of services, services and their endpoints; reads passwords out of secrets.
import { parseIP } from "../api/meta/ip.ts";
import { endpointslices, nodes, secrets, services } from "../api/resources.generated.ts";
import type { Node, Service } from "../api/types/core-v1.ts";
import type { EndpointSlice } from "../api/types/discovery-v1.ts";
import type { Clock } from "../base/clock.ts";
import { type Running, StopStack } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import type { Informer, InformerFactory } from "../client/informer.ts";
import { createInformerFactory } from "../client/informer-factory.ts";
import type { LocalLink } from "../node-network/plan.ts";
import { markedRoutes, type RouteFilters, routeFilters } from "./bgp-filters.ts";
import { type BgpNode, type BgpSession, planBgp } from "./bgp-sessions.ts";
import { type BirdBgp, isPasswordFor } from "./bird-config.ts";
import type { RoutedPlan } from "./plan.ts";
import {
  type BGPConfiguration,
  type BGPFilter,
  type BGPPeer,
  bgpConfigurationName,
  bgpConfigurationNameOf,
  bgpconfigurations,
  bgpfilters,
  bgppeers,
  type SecretKeyRef,
} from "./resources.ts";
import { announcesServices, serviceAnnouncements } from "./service-announcements.ts";
import { routedNodeOf } from "./tunnels.ts";

export interface NodeBgpDeps {
  readonly client: Client;
  readonly informers: InformerFactory;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface PlannedBgp {
  readonly bird: BirdBgp;
  /** By the peer's name. */
  readonly problems: ReadonlyMap<string, string>;
}

const asNumberAnnotation = "projectcalico.org/ASNumber";
const reflectorAnnotation = "projectcalico.org/RouteReflectorClusterID";
/** Nodes that load balancers, and so peers, are not to send to. */
const excluded = "node.kubernetes.io/exclude-from-external-load-balancers";
const passwordNamespace = "kube-system";
const byService = "service";

/** Whoever writes a node's annotations may write anything. */
export function bgpNodeOf(node: Node): BgpNode {
  const { annotations = {}, labels = {}, name } = node.metadata;
  const asNumber = Number(annotations[asNumberAnnotation]);
  const cluster = parseIP(annotations[reflectorAnnotation] ?? "");
  return {
    ...{ name, labels, addresses: routedNodeOf(node).addresses },
    ...(Number.isInteger(asNumber) && asNumber > 0 && asNumber < 2 ** 32 ? { asNumber } : {}),
    ...(cluster?.family === 4 ? { reflectorCluster: cluster.canonical } : {}),
  };
}

export class NodeBgp implements Running {
  readonly #deps: NodeBgpDeps;
  readonly #options: { readonly nodeName: string; readonly look: () => void };
  readonly #nodes: Informer<Node>;
  readonly #peers: Informer<BGPPeer>;
  readonly #configurations: Informer<BGPConfiguration>;
  readonly #filters: Informer<BGPFilter>;
  readonly #stack = new StopStack();
  #services: { readonly services: Informer<Service>; readonly slices: Informer<EndpointSlice> } | undefined;

  constructor(deps: NodeBgpDeps, options: { readonly nodeName: string /** Asks for another look. */; readonly look: () => void }) {
    this.#deps = deps;
    this.#options = options;
    this.#nodes = deps.informers.informer(nodes);
    this.#peers = deps.informers.informer(bgppeers);
    this.#configurations = deps.informers.informer(bgpconfigurations);
    this.#filters = deps.informers.informer(bgpfilters);
  }

  async synced(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#nodes, this.#peers, this.#configurations, this.#filters].map((informer) => informer.synced(signal)));
  }

  async stop(): Promise<void> {
    await this.#stack.stop();
  }

  /** A peer whose password cannot be read is left out. Rejects where services cannot be listed. */
  async plan({
    plan,
    links,
    signal,
  }: {
    readonly plan: RoutedPlan;
    readonly links: readonly LocalLink[];
    readonly signal: AbortSignal;
  }): Promise<PlannedBgp> {
    const { nodeName } = this.#options;
    const all = [...this.#nodes.list()].map(bgpNodeOf);
    const self = all.find(({ name }) => name === nodeName) ?? { name: nodeName, labels: {}, addresses: [] };
    const configuration = this.#configurations.get(bgpConfigurationName);
    const others = all.filter(({ name }) => name !== nodeName);
    const meshed = new Set(plan.neighbours.map(({ address }) => address));
    const planned = planBgp({ self, others, links, meshed, configuration, ofNodes: this.#ofNodes(all), peers: [...this.#peers.list()] });
    const problems = new Map(planned.problems);
    const sessions: BirdBgp["sessions"][number][] = [];
    for (const { password, filters: names, ...session } of planned.sessions) {
      const read = password && (await this.#password(password, signal));
      const filters = names && this.#routeFilters(names, session);
      const problem = read?.problem ?? (typeof filters === "string" ? filters : undefined);
      if (problem !== undefined || typeof filters === "string") problems.set(session.name, problem ?? "");
      else sessions.push({ ...session, ...(read?.text === undefined ? {} : { password: read.text }), ...(filters ? { filters } : {}) });
    }
    const mesh = planned.mesh && (await this.#mesh(planned.mesh.password, problems, signal));
    const { as, port, asOfNodes, portOfNodes } = planned;
    const marked = this.#marked(configuration, problems);
    const told = await this.#announcements(configuration, self, signal);
    return { problems, bird: { as, port, asOfNodes, portOfNodes, mesh, sessions, marked, services: told } };
  }

  #ofNodes(all: readonly BgpNode[]): ReadonlyMap<string, BGPConfiguration> {
    return new Map(
      all.flatMap(({ name }) => {
        const own = this.#configurations.get(bgpConfigurationNameOf(name));
        return own ? [[name, own] as const] : [];
      }),
    );
  }

  /** Without filters that are to hold there is no session rather than one without them: then what is wrong is said. */
  #routeFilters(names: readonly string[], { family }: Pick<BgpSession, "family">): RouteFilters | string {
    try {
      return routeFilters(names, family, (name) => this.#filters.get(name));
    } catch (error) {
      return (error as Error).message;
    }
  }

  #marked(configuration: BGPConfiguration | undefined, problems: Map<string, string>): ReturnType<typeof markedRoutes> {
    try {
      return markedRoutes(configuration?.spec, this.#configurations.get(bgpConfigurationNameOf(this.#options.nodeName))?.spec);
    } catch (error) {
      problems.set("(communities)", (error as Error).message);
      return [];
    }
  }

  async #mesh(password: SecretKeyRef | undefined, problems: Map<string, string>, signal: AbortSignal): Promise<BirdBgp["mesh"]> {
    if (!password) return {};
    const { text, problem } = await this.#password(password, signal);
    if (problem !== undefined) problems.set("(the other nodes)", problem);
    return text === undefined ? undefined : { password: text };
  }

  async #password({ name, key }: SecretKeyRef, signal: AbortSignal): Promise<{ readonly text?: string; readonly problem?: string }> {
    const where = `key ${key} of the secret ${passwordNamespace}/${name}`;
    try {
      const { data } = await this.#deps.client.get(secrets, { namespace: passwordNamespace, name }, { signal });
      const text = Buffer.from(data?.[key] ?? "", "base64").toString("utf8");
      if (isPasswordFor(text)) return { text };
      return { problem: `its password, ${where}, has to have 1 to 80 plain characters without double quotes` };
    } catch (error) {
      return { problem: `its password, ${where}, cannot be read: ${(error as Error).message}` };
    }
  }

  async #announcements(configuration: BGPConfiguration | undefined, self: BgpNode, signal: AbortSignal): Promise<readonly string[]> {
    if (!configuration || !announcesServices(configuration.spec) || self.labels[excluded] !== undefined) return [];
    this.#services ??= this.#followServices();
    const { services: all, slices } = this.#services;
    await Promise.all([all.synced(signal), slices.synced(signal)]);
    const slicesOf = (key: string): Iterable<EndpointSlice> => slices.byIndex(byService, key);
    return serviceAnnouncements(configuration.spec, { nodeName: this.#options.nodeName, services: all.list(), slicesOf });
  }

  #followServices() {
    const { client, clock, logger } = this.#deps;
    const factory = this.#stack.add(createInformerFactory(client, { clock, logger }));
    const [all, slices] = [factory.informer(services), factory.informer(endpointslices)];
    slices.addIndex(byService, ({ metadata }) => {
      const name = metadata.labels?.["kubernetes.io/service-name"];
      return name === undefined ? [] : [`${metadata.namespace ?? ""}/${name}`];
    });
    const { look } = this.#options;
    all.addHandler({ onAdd: look, onUpdate: look, onDelete: look });
    slices.addHandler({ onAdd: look, onUpdate: look, onDelete: look });
    factory.start();
    return { services: all, slices };
  }
}
