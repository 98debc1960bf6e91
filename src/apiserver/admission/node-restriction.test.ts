import { beforeEach, describe, expect, it } from "vitest";
import type { KubernetesObject } from "../../api/meta/object.ts";
import {
  csidrivers,
  csinodes,
  leases,
  nodes,
  persistentvolumeclaims,
  persistentvolumes,
  pods,
  serviceaccounts,
} from "../../api/resources.generated.ts";
import type { Node, Pod, PodSpec, Volume } from "../../api/types/core-v1.ts";
import type { OwnerReference } from "../../api/types/meta-v1.ts";
import type { Authorizer } from "../authz/authorizer.ts";
import type { AdmissionRequest } from "./admission.ts";
import { MemoryReader } from "./memory-reader.ts";
import { createNodeRestriction } from "./node-restriction.ts";
import { admissionRequest, runPlugin } from "./request-fixture.ts";

const node1 = { name: "system:node:n1", groups: ["system:nodes", "system:authenticated"] };
const denyAll: Authorizer = { authorize: () => ({ decision: "no-opinion", reason: "" }) };
let reader: MemoryReader;
beforeEach(() => {
  reader = new MemoryReader();
  reader.put(nodes, { metadata: { name: "n1", uid: "node-1" }, spec: {} });
});

const run = (request: AdmissionRequest) => runPlugin(createNodeRestriction({ reader, authorizer: denyAll }), { ...request, user: node1 });

const nodeObject = (name: string, labels: Record<string, string> = {}, spec: Node["spec"] = {}): Node =>
  new MemoryReader().put(nodes, { metadata: { name, labels }, spec });

const owner: OwnerReference = { apiVersion: "v1", kind: "Node", name: "n1", uid: "node-1", controller: true };
const mirror = (spec: Partial<PodSpec> = {}, ownerReferences: OwnerReference[] = [owner]): Pod =>
  new MemoryReader().put(pods, {
    metadata: { namespace: "ns", name: "m", annotations: { "kubernetes.io/config.mirror": "x" }, ownerReferences },
    spec: { nodeName: "n1", containers: [], ...spec },
  });

describe("NodeRestriction", () => {
  it("does not concern others", async () => {
    const plugin = createNodeRestriction({ reader, authorizer: denyAll });
    expect(plugin.handles(admissionRequest(nodes, nodeObject("n2")))).toBe(false);
  });

  it("lets a node write itself and no other", async () => {
    await run(
      admissionRequest(nodes, nodeObject("n1", { "kubernetes.io/hostname": "n1", "node.kubernetes.io/x": "y", "example.com/a": "b" })),
    );
    await expect(run(admissionRequest(nodes, nodeObject("n2")))).rejects.toThrow(
      'nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2"',
    );
    await expect(run(admissionRequest(nodes, nodeObject("n1", { "node-restriction.kubernetes.io/x": "y" })))).rejects.toThrow(
      'node "n1" is not allowed to set the following labels: node-restriction.kubernetes.io/x',
    );
  });

  it("keeps a node from its taints and restricted labels", async () => {
    const update = (object: Node, oldObject: Node) => run(admissionRequest(nodes, object, { operation: "UPDATE", oldObject }));
    const tainted = nodeObject("n1", {}, { taints: [{ key: "k", effect: "NoSchedule" }] });
    await expect(update(nodeObject("n1"), tainted)).rejects.toThrow('node "n1" is not allowed to modify taints');
    await expect(update(nodeObject("n1", { "kubernetes.io/foo": "y" }), nodeObject("n1"))).rejects.toThrow(
      'nodes "n1" is forbidden: is not allowed to modify labels: kubernetes.io/foo',
    );
    await update(nodeObject("n1", { "topology.kubernetes.io/zone": "z" }), nodeObject("n1", {}, { taints: [] }));
  });

  it.each([
    [{ nodeName: "other" }, undefined, 'node "n1" can only create pods with spec.nodeName set to itself'],
    [{}, [], 'node "n1" can only create pods with an owner reference set to itself'],
    [{}, [{ ...owner, controller: false }], 'node "n1" can only create pods with a controller owner reference set to itself'],
    [{}, [{ ...owner, uid: "else" }], "node n1 UID mismatch: expected else got node-1"],
    [{ serviceAccountName: "x" }, undefined, 'node "n1" can not create pods that reference serviceaccounts'],
    [{ volumes: [{ name: "v", configMap: { name: "c" } }] }, undefined, 'node "n1" can not create pods that reference configmaps'],
  ])("refuses mirror pods that could gain it something: %j", async (spec, owners, message) => {
    await expect(run(admissionRequest(pods, mirror(spec, owners)))).rejects.toThrow(message);
  });

  it("accepts plain mirror pods and refuses all other pods", async () => {
    await run(admissionRequest(pods, mirror()));
    const { annotations: _, ...metadata } = mirror().metadata;
    await expect(run(admissionRequest(pods, { ...mirror(), metadata } as Pod))).rejects.toThrow(
      'pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create mirror pods',
    );
  });

  it("lets a node delete, evict and report on its own pods only", async () => {
    const put = (name: string, nodeName: string) =>
      reader.put(pods, { metadata: { namespace: "ns", name, labels: { a: "b" } }, spec: { nodeName, containers: [] } });
    const [mine, other] = [put("mine", "n1"), put("other", "n2")];
    const remove = (p: Pod) => run(admissionRequest(pods, undefined, { operation: "DELETE", oldObject: p }));
    const status = (p: Pod, object: Pod) =>
      run(admissionRequest(pods, object, { operation: "UPDATE", subresource: "status", oldObject: p }));
    const evict = (p: Pod) => run(admissionRequest(pods, p as KubernetesObject, { subresource: "eviction" }));
    await remove(mine);
    await status(mine, { ...mine, status: { phase: "Running" } });
    await evict(mine);
    await expect(remove(other)).rejects.toThrow('node "n1" can only delete pods with spec.nodeName set to itself');
    const absent = { ...mine, metadata: { ...mine.metadata, name: "absent" } };
    await expect(evict(absent)).rejects.toThrow('pod "absent" not found');
    await expect(evict(other)).rejects.toThrow("node n1 can only evict pods with spec.nodeName set to itself");
    await expect(status(other, other)).rejects.toThrow('node "n1" can only update pod status for pods with spec.nodeName set to itself');
    await expect(status(mine, { ...mine, metadata: { ...mine.metadata, labels: {} } })).rejects.toThrow(
      'node "n1" cannot update labels through pod status',
    );
  });

  it("keeps leases and CSI nodes to their node", async () => {
    const lease = (namespace: string, name: string) =>
      admissionRequest(leases, new MemoryReader().put(leases, { metadata: { namespace, name }, spec: {} }));
    await run(lease("kube-node-lease", "n1"));
    await expect(run(lease("kube-system", "n1"))).rejects.toThrow('can only access leases in the "kube-node-lease" system namespace');
    await expect(run(lease("kube-node-lease", "n2"))).rejects.toThrow(
      "can only access node lease with the same name as the requesting node",
    );
    const csiNode = new MemoryReader().put(csinodes, { metadata: { name: "n2" }, spec: { drivers: [] } });
    await expect(run(admissionRequest(csinodes, csiNode))).rejects.toThrow("can only access CSINode with the same name");
  });

  const ref = { apiVersion: "v1", kind: "Pod", name: "p", uid: "pod-1" };
  const askForToken = (spec: object): Promise<unknown> =>
    run(
      admissionRequest(serviceaccounts, { apiVersion: "x", kind: "TokenRequest", metadata: mirror().metadata, spec } as KubernetesObject, {
        subresource: "token",
        name: "default",
      }),
    );
  const putPod = (...volumes: Volume[]): Pod =>
    reader.put(pods, { metadata: { namespace: "ns", name: "p", uid: "pod-1" }, spec: { nodeName: "n1", containers: [], volumes } });

  it("gives tokens for pods of the node and audiences they use", async () => {
    putPod({ name: "t", projected: { sources: [{ serviceAccountToken: { path: "t", audience: "vault" } }] } });
    await askForToken({ boundObjectRef: ref, audiences: ["vault"] });
    await expect(askForToken({})).rejects.toThrow("node requested token not bound to a pod");
    await expect(askForToken({ boundObjectRef: { ...ref, uid: "old" } })).rejects.toThrow(
      "the UID in the bound object reference (old) does not match",
    );
    await expect(askForToken({ boundObjectRef: ref, audiences: ["other"] })).rejects.toThrow(
      'audience "other" not found in pod spec volume, system:node:n1 is not authorized to request tokens for this audience',
    );
  });

  it("gives tokens for audiences of the drivers that plugins of the past were replaced by", async () => {
    reader.put(csidrivers, { metadata: { name: "file.csi.azure.com" }, spec: { tokenRequests: [{ audience: "azure" }] } });
    putPod({ name: "inline", azureFile: { secretName: "s", shareName: "x" } });
    await askForToken({ boundObjectRef: ref, audiences: ["azure"] });
    reader.put(persistentvolumeclaims, { metadata: { namespace: "ns", name: "c" }, spec: { volumeName: "v" } });
    reader.put(persistentvolumes, { metadata: { name: "v" }, spec: { azureFile: { secretName: "s", shareName: "x" } } });
    putPod({ name: "claimed", persistentVolumeClaim: { claimName: "c" } });
    await askForToken({ boundObjectRef: ref, audiences: ["azure"] });
  });

  it("says which claim, volume or driver is missing where nothing else uses the audience", async () => {
    putPod({ name: "a", persistentVolumeClaim: { claimName: "none" } }, { name: "b", csi: { driver: "example.com" } });
    await expect(askForToken({ boundObjectRef: ref, audiences: ["vault"] })).rejects.toThrow(
      'error validating audience "vault": [persistentvolumeclaim "none" not found, csidriver.storage.k8s.io "example.com" not found]',
    );
    reader.put(persistentvolumeclaims, { metadata: { namespace: "ns", name: "p-e" }, spec: { volumeName: "lost" } });
    putPod({ name: "e", ephemeral: { volumeClaimTemplate: { spec: {} } } });
    await expect(askForToken({ boundObjectRef: ref, audiences: ["vault"] })).rejects.toThrow(
      'error validating audience "vault": persistentvolume "lost" not found',
    );
  });
});
