import { describe, expect, it } from "vitest";
import { clusterrolebindings, clusterroles, configmaps, rolebindings } from "../api/resources.generated.ts";
import { VirtualClock } from "../base/clock.ts";
import { createClient } from "../client/create-client.ts";
import { createFakeApi } from "../testing/fake-api.ts";
import { clusterInfoText, ensureNodeJoining } from "./node-joining.ts";

const info = { server: "https://192.0.2.1:6443", caPem: "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n" };
const at = { namespace: "kube-public", name: "cluster-info" };

describe("ensureNodeJoining()", () => {
  it("publishes the cluster, and gives those who join what kubeadm gives them", async () => {
    const client = createClient(createFakeApi(new VirtualClock()));
    await ensureNodeJoining(client, info);
    const { data } = await client.get(configmaps, at);
    expect(data?.kubeconfig).toContain("    server: https://192.0.2.1:6443\n");
    const bindings = (await client.list(clusterrolebindings)).items;
    const subjects = new Map(bindings.map((b) => [b.metadata.name, [b.roleRef.name, b.subjects?.[0]?.name]]));
    const joining = "system:bootstrappers:kubeadm:default-node-token";
    expect(subjects.get("kubeadm:kubelet-bootstrap")).toEqual(["system:node-bootstrapper", joining]);
    expect(subjects.get("kubeadm:get-nodes")).toEqual(["kubeadm:get-nodes", joining]);
    expect(subjects.get("kubeadm:node-autoapprove-certificate-rotation")?.[1]).toBe("system:nodes");
    const open = await client.get(rolebindings, { namespace: "kube-public", name: "kubeadm:bootstrap-signer-clusterinfo" });
    expect(open.subjects).toMatchObject([{ kind: "User", name: "system:anonymous" }]);
  });

  it("leaves what is there, but tells of a new address", async () => {
    const client = createClient(createFakeApi(new VirtualClock()));
    await ensureNodeJoining(client, info);
    const role = await client.get(clusterroles, { name: "kubeadm:get-nodes" });
    await client.update(clusterroles, { ...role, rules: [] });
    const map = await client.get(configmaps, at);
    await client.update(configmaps, { ...map, data: { ...map.data, "jws-kubeconfig-abcdef": "s" } });
    const before = await client.get(configmaps, at);
    await ensureNodeJoining(client, info);
    expect(await client.get(configmaps, at)).toEqual(before);
    const moved = { ...info, server: "https://192.0.2.9:6443" };
    await ensureNodeJoining(client, moved);
    expect((await client.get(configmaps, at)).data).toEqual({ kubeconfig: clusterInfoText(moved), "jws-kubeconfig-abcdef": "s" });
    expect((await client.get(clusterroles, { name: "kubeadm:get-nodes" })).rules).toEqual([]);
  });
});
