import { describe, expect, it } from "vitest";
import { parseImageName, registryOf, withDefaultTag } from "../../api/semantics/image-name.ts";
import type { Container, Pod, PodSpec } from "../../api/types/core-v1.ts";
import { VirtualClock } from "../../base/clock.ts";
import { parseResolvConf } from "../../base/resolv-conf.ts";
import { podResolver } from "../containers/dns.ts";
import { hostsFile, podHostname } from "../containers/hosts-file.ts";
import { cpuQuota, cpuShares, hugepageLimits, linuxResources } from "../containers/linux-resources.ts";
import { CrashBackOff } from "../pods/crash-backoff.ts";
import { credentialsFor } from "../pulls/pull-credentials.ts";

function podOf(spec: Partial<PodSpec>, name = "web"): Pod {
  const metadata = { name, namespace: "shop", uid: name } as Pod["metadata"];
  return { apiVersion: "v1", kind: "Pod", metadata, spec: { containers: [{ name: "main" }], ...spec } };
}

describe("CrashBackOff", () => {
  it("doubles from 10 s to 300 s and forgets after ten quiet minutes", async () => {
    const clock = new VirtualClock(0);
    const backOff = new CrashBackOff(clock);
    const delays: number[] = [];
    for (let i = 0; i < 8; i++) {
      const endedMs = clock.now();
      const found = backOff.delayAfter("k", endedMs);
      delays.push((found?.delayMs ?? 0) / 1000);
      await clock.advance(found?.delayMs ?? 0);
      expect(backOff.delayAfter("k", endedMs)).toBeUndefined();
      backOff.next("k", endedMs);
    }
    expect(delays).toEqual([0, 10, 20, 40, 80, 160, 300, 300]);
    await clock.advance(600_001);
    expect(backOff.delayAfter("k", clock.now())).toBeUndefined();
  });
});

describe("image names", () => {
  it.each([
    ["nginx", "nginx:latest"],
    ["nginx:1.27", "nginx:1.27"],
    ["localhost:5000/a/b", "localhost:5000/a/b:latest"],
    [`a@sha256:${"0".repeat(64)}`, `a@sha256:${"0".repeat(64)}`],
  ])("completes %s to %s", (image, complete) => expect(withDefaultTag(image)).toBe(complete));

  it.each(["", "UPPER", "a b", "a:", ":tag", "a@sha256:12"])("refuses %j", (image) =>
    expect(() => parseImageName(image)).toThrow("couldn't parse image name"),
  );

  it("say which part of a name has to be in lower case", () => {
    const refused = (image: string, why = ""): void =>
      expect(() => parseImageName(image)).toThrow(`couldn't parse image name "${image}": invalid reference format${why}`);
    refused("Nginx", ": repository name (library/Nginx) must be lowercase");
    refused("UPPER/Case:::bad", ": repository name (Case) must be lowercase");
    refused("r.example/A/b:1", ": repository name (A/b) must be lowercase");
    refused("a:::b");
  });

  it("knows registries", () => {
    expect([registryOf("nginx"), registryOf("team/nginx"), registryOf("localhost/x"), registryOf("r.example:5000/x")]).toEqual([
      "docker.io",
      "docker.io",
      "localhost",
      "r.example:5000",
    ]);
  });

  it("finds the most specific credentials", () => {
    const auths = {
      "https://r.example/v2/": { auth: Buffer.from("a:1").toString("base64") },
      "r.example/team": { username: "b", password: "2" },
      other: { username: "c" },
    };
    const secret = {
      metadata: { name: "s" },
      data: { ".dockerconfigjson": Buffer.from(JSON.stringify({ auths })).toString("base64") },
    } as unknown as Parameters<typeof credentialsFor>[1][0];
    expect(credentialsFor("r.example/team/app:1", [secret]).map((c) => c.auth.username)).toEqual(["b", "a"]);
    expect(credentialsFor("nginx", [secret])).toEqual([]);
  });
});

describe("DNS and hosts", () => {
  const node = parseResolvConf("# made\nnameserver 1.1.1.1\nsearch lan\noptions timeout:2\n");
  const cluster = { servers: ["10.96.0.10"], domain: "cluster.local" };

  it("gives pods the cluster's names, or the node's", () => {
    expect(podResolver(podOf({}), cluster, node)).toEqual({
      servers: ["10.96.0.10"],
      searches: ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "lan"],
      options: ["ndots:5"],
    });
    expect(podResolver(podOf({ dnsPolicy: "Default" }), cluster, node)).toEqual(node);
    expect(podResolver(podOf({ hostNetwork: true }), cluster, node)).toEqual(node);
    expect(podResolver(podOf({}), { ...cluster, servers: [] }, node)).toEqual(node);
  });

  it("adds the pod's own configuration within the limits", () => {
    const dnsConfig = { nameservers: ["9.9.9.9"], searches: ["x"], options: [{ name: "ndots", value: "2" }, { name: "rotate" }] };
    const pod = podOf({ dnsPolicy: "None", dnsConfig });
    expect(podResolver(pod, cluster, node)).toEqual({ servers: ["9.9.9.9"], searches: ["x"], options: ["ndots:2", "rotate"] });
  });

  it("names the pod in its hosts file", () => {
    const pod = podOf({ hostname: "h", subdomain: "sub" });
    const text = hostsFile(["10.0.0.5"], podHostname(pod, "cluster.local"), [{ ip: "1.2.3.4", hostnames: ["a", "b"] }]);
    expect(text).toContain("\n10.0.0.5\th.sub.shop.svc.cluster.local\th\n");
    expect(text.endsWith("\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n")).toBe(true);
    expect(podHostname(podOf({}, `${"a".repeat(62)}-b`), "").hostname).toBe("a".repeat(62));
  });
});

describe("resources", () => {
  it("turns CPUs into shares and quotas", () => {
    expect([cpuShares(0), cpuShares(500), cpuShares(1000)]).toEqual([2, 512, 1024]);
    expect([cpuQuota(0), cpuQuota(5), cpuQuota(1500)]).toEqual([0, 1000, 150_000]);
  });

  it("ranks containers for the kernel's out-of-memory killer by class", () => {
    const gib = 2 ** 30;
    const score = (resources: Container["resources"]): number | undefined => {
      const container: Container = { name: "main", ...(resources ? { resources } : {}) };
      return linuxResources(podOf({ containers: [container] }), container, { memoryBytes: 4 * gib }).oomScoreAdj;
    };
    const all = { cpu: "1", memory: "1Gi" };
    expect([score(undefined), score({ requests: { memory: "1Gi" } }), score({ requests: all, limits: all })]).toEqual([1000, 750, -997]);
  });

  it("shares what a pod requests beyond its containers among them", () => {
    const gib = 2 ** 30;
    const container: Container = { name: "main", resources: { requests: { memory: "1Gi" } } };
    const pod = podOf({ resources: { requests: { memory: "2Gi" } }, containers: [container, { name: "other" }] });
    expect(linuxResources(pod, container, { memoryBytes: 4 * gib }).oomScoreAdj).toBe(625);
  });

  it("gives huge pages only to those who ask for them", () => {
    const sizes = [
      { pageBytes: 2 ** 21, pages: 8 },
      { pageBytes: 2 ** 30, pages: 0 },
    ];
    const container: Container = { name: "main", resources: { limits: { "hugepages-2Mi": "4Mi" } } };
    const pod = podOf({ containers: [container, { name: "other" }] });
    expect(hugepageLimits(pod, container, sizes)).toEqual([
      { pageSize: "2MB", limit: 4 * 2 ** 20 },
      { pageSize: "1GB", limit: 0 },
    ]);
    expect(hugepageLimits(pod, { name: "other" }, sizes).map((h) => h.limit)).toEqual([0, 0]);
  });
});
