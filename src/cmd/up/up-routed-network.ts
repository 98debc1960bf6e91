// What `coracle up` does once for a cluster with a routed pod network: the definitions of Calico's resources, what nodes may do with
// them, a pool of each family of --cluster-cidr where there is none yet, and the loop that gives back what nobody has any more.
import { parseCIDR } from "../../api/meta/ip.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { clusterrolebindings, clusterroles, customresourcedefinitions, rolebindings, roles } from "../../api/resources.generated.ts";
import type { Clock } from "../../base/clock.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import { createEventRecorder } from "../../client/event-recorder.ts";
import { createInformerFactory } from "../../client/informer-factory.ts";
import type { ClusterNetwork } from "../../node-network/cluster-network.ts";
import { startAddressCollector } from "../../routed-network/address-collector.ts";
import { calicoDefinitions } from "../../routed-network/definitions.ts";
import { calicoGroup, type IPPool, ippools } from "../../routed-network/resources.ts";
import type { RunningApiServer } from "../apiserver/start-apiserver.ts";
import { CommandError } from "../command-error.ts";
import { reservedRanges } from "../node/routed-node.ts";
import { type ComponentRules, grantComponentRoles } from "./component-roles.ts";

export interface RoutedClusterDeps {
  readonly server: RunningApiServer;
  readonly clock: Clock;
  readonly logger: Logger;
}

const group = "rbac.authorization.k8s.io";
const applied = { type: "apply", fieldManager: "coracle", force: true } as const;
const reading = ["get", "list", "watch"];
const writing = [...reading, "create", "update", "patch", "delete"];
const servedWithinMs = 30_000;

/** Blocks are claimed by whoever gives out of them: nodes write these, and read what people write. */
const nodeRole = {
  apiVersion: `${group}/v1`,
  kind: "ClusterRole",
  metadata: { name: "coracle:routed-network" },
  rules: [
    { apiGroups: [calicoGroup], resources: ["ippools", "ipamconfigs", "bgppeers", "bgpconfigurations", "bgpfilters"], verbs: reading },
    { apiGroups: [calicoGroup], resources: ["ipamblocks", "blockaffinities", "ipamhandles"], verbs: writing },
  ],
};

/** Of the passwords of BGP peers; of other secrets than this one a Role of the user's own. */
const passwordRole = {
  apiVersion: `${group}/v1`,
  kind: "Role",
  metadata: { namespace: "kube-system", name: "coracle:bgp-passwords" },
  rules: [{ apiGroups: [""], resources: ["secrets"], resourceNames: ["bgp-passwords"], verbs: ["get"] }],
};

const collectorRules: ComponentRules = {
  everywhere: [
    { apiGroups: [""], resources: ["nodes", "pods"], verbs: reading },
    { apiGroups: [calicoGroup], resources: ["ippools"], verbs: reading },
    { apiGroups: [calicoGroup], resources: ["ipamblocks", "blockaffinities", "ipamhandles"], verbs: [...reading, "update", "delete"] },
    { apiGroups: [""], resources: ["events"], verbs: ["create", "patch", "update"] },
  ],
};

/** Resolves when nodes may start. */
export async function startRoutedCluster({ server, clock, logger }: RoutedClusterDeps, network: ClusterNetwork): Promise<Running> {
  const administrator = server.clientFor({ name: "kubernetes-admin", groups: ["system:masters", "system:authenticated"] });
  const reserved = reservedRanges(network.serviceCidrs);
  await Promise.all([applyDefinitions(administrator), applyNodeRole(administrator)]);
  await ensurePools(administrator, network.clusterCidrs, clock);
  const user = "system:coracle:address-collector";
  await grantComponentRoles(administrator, user, collectorRules);
  const client = server.clientFor({ name: user, groups: ["system:authenticated"] });
  const stack = new StopStack();
  const named = logger.named("address-collector");
  const recorder = stack.add(createEventRecorder({ client, clock, logger: named, component: "coracle-ipam" }));
  const informers = stack.add(createInformerFactory(client, { clock, logger: named }));
  stack.add(startAddressCollector({ client, informers, clock, logger: named, recorder }, { reserved }));
  informers.start();
  return stack;
}

/** An installation of Calico has them already; what it has is kept. */
async function applyDefinitions(client: Client): Promise<void> {
  await Promise.all(
    calicoDefinitions.map((definition) =>
      client.create(customresourcedefinitions, definition).catch((error: unknown) => {
        if (!isStatus(error, "AlreadyExists")) throw error;
      }),
    ),
  );
}

async function applyNodeRole(client: Client): Promise<void> {
  const { metadata } = nodeRole;
  await client.patch(clusterroles, metadata, nodeRole, applied);
  const binding = {
    ...{ apiVersion: nodeRole.apiVersion, kind: "ClusterRoleBinding", metadata },
    roleRef: { apiGroup: group, kind: "ClusterRole", name: metadata.name },
    subjects: [{ apiGroup: group, kind: "Group", name: "system:nodes" }],
  };
  await client.patch(clusterrolebindings, metadata, binding, applied);
  await client.patch(roles, passwordRole.metadata, passwordRole, applied);
  const ofPasswords = {
    ...{ apiVersion: nodeRole.apiVersion, kind: "RoleBinding", metadata: passwordRole.metadata },
    roleRef: { apiGroup: group, kind: "Role", name: passwordRole.metadata.name },
    subjects: binding.subjects,
  };
  await client.patch(rolebindings, passwordRole.metadata, ofPasswords, applied);
}

async function ensurePools(client: Client, clusterCidrs: readonly string[], clock: Clock): Promise<void> {
  const existing = await listPools(client, clock);
  for (const cidr of clusterCidrs) {
    const six = cidr.includes(":");
    // Whoever has made pools knows which ones there are to be.
    if (existing.some(({ spec }) => spec.cidr.includes(":") === six)) continue;
    await client.create(ippools, { metadata: { name: `default-ipv${six ? 6 : 4}-ippool` }, spec: defaultPool(cidr) });
  }
}

/** A definition is served a moment after it was made. */
async function listPools(client: Client, clock: Clock): Promise<readonly IPPool[]> {
  const deadline = clock.monotonic() + servedWithinMs;
  for (;;) {
    try {
      return (await client.list(ippools)).items;
    } catch (error) {
      if (!isStatus(error, "NotFound")) throw error;
      if (clock.monotonic() > deadline) throw new CommandError(`the resource ippools.${calicoGroup} is not served`, { cause: error });
      await clock.sleep(20);
    }
  }
}

/** Blocks as large as usual, or a quarter of a pool that is smaller than a few of them. */
export function defaultPool(cidr: string): IPPool["spec"] {
  const [usual, bits] = cidr.includes(":") ? [122, 128] : [26, 32];
  const prefixLength = parseCIDR(cidr)?.prefixLength ?? 0;
  const blockSize = Math.min(bits, Math.max(usual, prefixLength + 2));
  return { cidr, blockSize, ipipMode: "Never", vxlanMode: "CrossSubnet", natOutgoing: true, nodeSelector: "all()" };
}
