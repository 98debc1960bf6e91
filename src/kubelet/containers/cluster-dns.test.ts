import { describe, expect, it } from "vitest";
import { startKubelet } from "../../testing/kubelet-fixture.ts";

describe("a cluster without DNS", () => {
  it("is told of in an event of each pod that wants it", async () => {
    await using kubelet = await startKubelet({ options: { clusterDns: [] } });
    await kubelet.createPod("first");
    await kubelet.createPod("own", { dnsPolicy: "Default", containers: [{ name: "main", image: "busybox:1" }] });
    await kubelet.untilPhase("first", "Running");
    await kubelet.untilPhase("own", "Running");
    const warnings = kubelet.events.filter(({ reason }) => reason === "MissingClusterDNS");
    expect(warnings.map(({ about, type }) => `${about} ${type}`)).toEqual(["first Warning"]);
    expect(warnings[0]?.message).toMatch(/Falling back to "Default" policy/);
  });
});
