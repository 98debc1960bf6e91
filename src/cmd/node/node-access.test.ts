import { describe, expect, test } from "vitest";
import { clusterrolebindings, configmaps } from "../../api/resources.generated.ts";
import { VirtualClock } from "../../base/clock.ts";
import { createClient } from "../../client/create-client.ts";
import type { ClusterNetwork } from "../../node-network/cluster-network.ts";
import { createFakeApi } from "../../testing/fake-api.ts";
import { fetchClusterNetwork, publishClusterNetwork } from "./node-access.ts";

const network: ClusterNetwork = {
  clusterCidrs: ["10.244.0.0/16"],
  serviceCidrs: ["10.96.0.0/16"],
  podNetwork: { mode: "auto", vni: 7, port: 8472 },
  clusterDns: [],
  clusterDomain: "cluster.local",
  loadBalancerPool: [],
};

describe("the cluster's network, published", () => {
  test("is what nodes fetch, also after it has changed", async () => {
    const client = createClient(createFakeApi(new VirtualClock()));
    await publishClusterNetwork(client, network);
    expect(await fetchClusterNetwork(client)).toEqual(network);
    const changed: ClusterNetwork = { ...network, podNetwork: { mode: "vxlan", vni: 8, port: 4789 } };
    await publishClusterNetwork(client, changed);
    expect(await fetchClusterNetwork(client)).toEqual(changed);
  });

  test("is for nodes, and for those that are about to become nodes", async () => {
    const client = createClient(createFakeApi(new VirtualClock()));
    await publishClusterNetwork(client, network);
    const binding = await client.get(clusterrolebindings, { name: "coracle:node-network" });
    expect(binding.subjects?.map(({ name }) => name)).toEqual(["system:nodes"]);
  });

  test("that cannot be read is named", async () => {
    const client = createClient(createFakeApi(new VirtualClock()));
    await expect(fetchClusterNetwork(client)).rejects.toThrow("the config map kube-system/coracle-network");
    await client.create(configmaps, { metadata: { namespace: "kube-system", name: "coracle-network" }, data: { podNetwork: "ipip" } });
    await expect(fetchClusterNetwork(client)).rejects.toMatchObject({
      cause: { message: expect.stringMatching(/^podNetwork: expected auto/) },
    });
  });
});
