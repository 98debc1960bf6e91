// With whom a node speaks BGP besides its neighbours on the link, and what it tells them of itself: from BGPConfiguration and BGPPeer
// objects, with Calico's meaning, to sessions of the routing daemon. Pure. What cannot be understood leaves its peer out, and
// says why.
import { parseCIDR, parseIP } from "../api/meta/ip.ts";
import type { Labels } from "../api/meta/selectors.ts";
import { directHop, type LocalLink } from "../node-network/plan.ts";
import type { BGPConfiguration, BGPPeer, SecretKeyRef } from "./resources.ts";
import { parseSelector } from "./selector.ts";

export const defaultAutonomousSystem = 64_512;
export const defaultBgpPort = 179;

/** A node, as far as it matters here. */
export interface BgpNode {
  readonly name: string;
  readonly labels: Labels;
  readonly addresses: readonly string[];
  /** By annotation; else the cluster's. */
  readonly asNumber?: number;
  /** Of a node that passes on what it is told: an IPv4 address as its group's number. */
  readonly reflectorCluster?: string;
}

export interface BgpSession {
  /** The object's, and the other node's where it is one. */
  readonly name: string;
  readonly family: 4 | 6;
  readonly address: string;
  readonly port: number;
  readonly as: number;
  /** This node's address; undefined where that is the way's to choose. */
  readonly local: string | undefined;
  /** Whether there is a router in between. */
  readonly isFar: boolean;
  readonly keepsNextHop: boolean;
  readonly restartSeconds?: number;
  readonly allowedOwnAs?: number;
  readonly hops?: number;
  readonly password?: SecretKeyRef;
  /** Names of BGPFilter objects. */
  readonly filters?: readonly string[];
  /** It is told what others have told, as the number of this node's group says. */
  readonly isClientOf?: string;
}

export interface BgpPlan {
  readonly as: number;
  readonly port: number;
  /** Undefined where nodes do not speak with each other by themselves. */
  readonly mesh: { readonly password?: SecretKeyRef } | undefined;
  readonly sessions: readonly BgpSession[];
  /** By node, where it is not this node's. */
  readonly asOfNodes: ReadonlyMap<string, number>;
  /** The same of the port. */
  readonly portOfNodes: ReadonlyMap<string, number>;
  /** What is wrong, for a person, by the peer's name. */
  readonly problems: ReadonlyMap<string, string>;
}

export interface BgpInput {
  readonly self: BgpNode;
  readonly others: readonly BgpNode[];
  readonly links: readonly LocalLink[];
  /** Where nodes' mesh has a session: there is one between two nodes. */
  readonly meshed: ReadonlySet<string>;
  readonly configuration: BGPConfiguration | undefined;
  /** Those of single nodes, by node. Default none. */
  readonly ofNodes?: ReadonlyMap<string, BGPConfiguration>;
  readonly peers: readonly BGPPeer[];
}

export function planBgp(input: BgpInput): BgpPlan {
  const { self, others, configuration, peers } = input;
  const {
    asNumber = defaultAutonomousSystem,
    nodeToNodeMeshEnabled = true,
    nodeMeshPassword,
    listenPort = defaultBgpPort,
  } = configuration?.spec ?? {};
  const as = self.asNumber ?? asNumber;
  const portOf = ({ name }: BgpNode): number => input.ofNodes?.get(name)?.spec.listenPort ?? listenPort;
  const port = portOf(self);
  const problems = new Map<string, string>();
  const sessions = new Map<string, BgpSession>();
  for (const peer of [...peers].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))) {
    try {
      for (const session of sessionsOf(peer, input, { as: asNumber, portOf })) {
        const isMeshed = nodeToNodeMeshEnabled && input.meshed.has(session.address);
        if (!isMeshed && !sessions.has(session.address)) sessions.set(session.address, session);
      }
    } catch (error) {
      problems.set(peer.metadata.name, (error as Error).message);
    }
  }
  const password = nodeMeshPassword?.secretKeyRef;
  return {
    ...{ as, port, problems, sessions: [...sessions.values()] },
    mesh: nodeToNodeMeshEnabled ? (password ? { password } : {}) : undefined,
    asOfNodes: new Map(others.flatMap(({ name, asNumber: own = asNumber }) => (own === as ? [] : [[name, own] as const]))),
    portOfNodes: new Map(others.flatMap((node) => (portOf(node) === port ? [] : [[node.name, portOf(node)] as const]))),
  };
}

interface ClusterBgp {
  readonly as: number;
  readonly portOf: (node: BgpNode) => number;
}

function sessionsOf({ metadata, spec }: BGPPeer, input: BgpInput, cluster: ClusterBgp): readonly BgpSession[] {
  const { self, others } = input;
  const isChosen = nodesOf(spec);
  if (spec.peerIP) {
    if (!isChosen(self)) return [];
    const { address, port } = addressOf(spec.peerIP);
    if (spec.asNumber === undefined) throw new Error("it has no asNumber");
    return [sessionWith({ name: metadata.name, address, port: port ?? defaultBgpPort, as: spec.asNumber }, spec, input)];
  }
  if (!spec.peerSelector) throw new Error("it has neither a peerIP nor a peerSelector");
  const isPeer = parseSelector(spec.peerSelector);
  // Both ends of a session have to want it.
  const wanted = others.filter((other) => (isChosen(self) && isPeer(other.labels)) || (isChosen(other) && isPeer(self.labels)));
  return wanted.flatMap((other) =>
    ([4, 6] as const).flatMap((family) => {
      const address = reachable(other, family, input.links);
      if (address === undefined || !own(self, family, input.links, address)) return [];
      const session = sessionWith(
        { name: `${metadata.name}.${other.name}`, address, port: cluster.portOf(other), as: other.asNumber ?? cluster.as },
        spec,
        input,
      );
      const isClient = self.reflectorCluster !== undefined && self.reflectorCluster !== other.reflectorCluster;
      return [isClient ? { ...session, isClientOf: self.reflectorCluster ?? "" } : session];
    }),
  );
}

function nodesOf({ node, nodeSelector }: BGPPeer["spec"]): (candidate: BgpNode) => boolean {
  if (node) return ({ name }) => name === node;
  const selects = parseSelector(nodeSelector ?? "");
  return ({ labels }) => selects(labels);
}

function sessionWith(
  { name, address, port, as }: Pick<BgpSession, "name" | "address" | "port" | "as">,
  spec: BGPPeer["spec"],
  { self, links }: BgpInput,
): BgpSession {
  const family = address.includes(":") ? 6 : 4;
  const hop = hopTo(address, links);
  const local = spec.sourceAddress === "None" ? undefined : own(self, family, links, address);
  if (spec.sourceAddress !== "None" && local === undefined)
    throw new Error(`this node has no IPv${family} address to speak with ${address}`);
  const restartSeconds = spec.maxRestartTime === undefined ? undefined : secondsOf(spec.maxRestartTime);
  return {
    ...{ name, family, address, port, as, local, isFar: hop === undefined, keepsNextHop: spec.keepOriginalNextHop ?? false },
    ...(restartSeconds === undefined ? {} : { restartSeconds }),
    ...(spec.numAllowedLocalASNumbers ? { allowedOwnAs: spec.numAllowedLocalASNumbers } : {}),
    ...(spec.ttlSecurity ? { hops: spec.ttlSecurity } : {}),
    ...(spec.filters && spec.filters.length > 0 ? { filters: spec.filters } : {}),
    ...(spec.password?.secretKeyRef ? { password: spec.password.secretKeyRef } : {}),
  };
}

const hopTo = (address: string, links: readonly LocalLink[]) => {
  const ip = parseIP(address);
  const range = ip && parseCIDR(`${address}/${ip.bytes.length * 8}`);
  return range && directHop({ name: "", podCidrs: [], addresses: [address] }, range, links);
};

/** This node's address on the link to the peer, else its first one. */
function own(self: BgpNode, family: 4 | 6, links: readonly LocalLink[], peer: string): string | undefined {
  const hop = hopTo(peer, links);
  const isOfFamily = (address: string): boolean => address.includes(":") === (family === 6);
  const onLink = hop && links.find(({ device, address }) => device === hop.device && isOfFamily(address))?.address;
  return onLink ?? self.addresses.find(isOfFamily);
}

function reachable({ addresses }: BgpNode, family: 4 | 6, links: readonly LocalLink[]): string | undefined {
  const ofFamily = addresses.filter((address) => address.includes(":") === (family === 6));
  return ofFamily.find((address) => hopTo(address, links)) ?? ofFamily[0];
}

/** "192.0.2.1", "192.0.2.1:1179", "fd00::1", "[fd00::1]:1179". */
function addressOf(text: string): { readonly address: string; readonly port?: number } {
  const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(text) ?? /^([\d.]+)(?::(\d+))?$/.exec(text);
  const address = parseIP(bracketed?.[1] ?? text)?.canonical;
  const port = bracketed?.[2] === undefined ? undefined : Number(bracketed[2]);
  if (address === undefined || (port !== undefined && (port < 1 || port > 65_535)))
    throw new Error(`its peerIP ${JSON.stringify(text)} is none`);
  return { address, ...(port === undefined ? {} : { port }) };
}

/** Of a duration such as "1m30s", in whole seconds as the daemon takes them. */
function secondsOf(text: string): number {
  const units = { h: 3_600, m: 60, s: 1 } as const;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(h|m|s)/g)];
  const seconds = Math.round(parts.reduce((sum, [, number, unit]) => sum + Number(number) * units[unit as keyof typeof units], 0));
  if (parts.map(([part]) => part).join("") !== text || seconds < 1 || seconds > 4_095)
    throw new Error(`its maxRestartTime ${JSON.stringify(text)} is not between 1s and 4095s`);
  return seconds;
}
