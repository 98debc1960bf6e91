// Small rules of pods: host names, resolvers, messages, users of their own.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ContainerStatus, Pod, PodSpec } from "../api/types/core-v1.ts";
import { podResolver } from "./dns.ts";
import { kernelHostname, podHostname } from "./hosts-file.ts";
import { limitMessages } from "./message-limit.ts";
import { UserNamespaces } from "./user-namespaces.ts";

function podOf(spec: Partial<PodSpec>, uid = "u1"): Pod {
  const metadata = { name: "web", namespace: "default", uid } as Pod["metadata"];
  return { apiVersion: "v1", kind: "Pod", metadata, spec: { containers: [{ name: "main" }], ...spec } };
}

describe("kernelHostname()", () => {
  const named = (spec: Partial<PodSpec>): string => kernelHostname(podHostname(podOf(spec), "cluster.local"), spec.setHostnameAsFQDN);

  it("is the short name, or the full one where the pod asks for it", () => {
    expect(named({ subdomain: "sub" })).toBe("web");
    expect(named({ subdomain: "sub", setHostnameAsFQDN: true })).toBe("web.sub.default.svc.cluster.local");
    expect(named({ hostnameOverride: "other.example" })).toBe("other.example");
  });

  it("refuses a full name that the kernel has no room for", () => {
    expect(() => named({ subdomain: "s".repeat(50), setHostnameAsFQDN: true })).toThrow(
      /^failed to construct FQDN from pod hostname and cluster domain, FQDN web\.s+\.default\.svc\.cluster\.local is too long \(64 characters is the max, 80 characters requested\)$/,
    );
  });
});

describe("podResolver()", () => {
  it("says what it had to leave out", () => {
    const said: string[] = [];
    const nameservers = ["1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4"];
    const pod = podOf({ dnsPolicy: "None", dnsConfig: { nameservers, searches: ["a", "b".repeat(300)] } });
    const resolver = podResolver(pod, { servers: [], domain: "" }, { servers: [], searches: [], options: [] }, (m) => said.push(m));
    expect(resolver).toMatchObject({ servers: nameservers.slice(0, 3), searches: ["a"] });
    expect(said).toEqual([
      "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: 1.1.1.1 2.2.2.2 3.3.3.3",
      "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: a",
    ]);
  });
});

describe("limitMessages()", () => {
  const ended = (message: string): ContainerStatus =>
    ({ name: "main", state: { terminated: { exitCode: 1, message } }, lastState: {} }) as unknown as ContainerStatus; // as far as it matters

  it("gives the containers 12 KiB together", () => {
    const pod = podOf({ containers: [{ name: "main" }, { name: "other" }, { name: "third" }] });
    const [long, short] = limitMessages(pod, [ended("é".repeat(4000)), ended("short")]);
    expect(Buffer.byteLength(long?.state?.terminated?.message ?? "")).toBe(4096);
    expect(short?.state?.terminated?.message).toBe("short");
  });
});

describe("UserNamespaces", () => {
  it("gives each pod a range of its own, and the same one after a restart", async () => {
    const directory = await mkdtemp(join(tmpdir(), "coracle-userns-"));
    try {
      const deps = { podDirectory: (uid: string) => join(directory, uid), podsOnDisk: async () => ["u1", "u2"], isSupported: () => true };
      const namespaces = new UserNamespaces(deps);
      const first = await namespaces.mappingOf(podOf({ hostUsers: false }), "");
      const second = await namespaces.mappingOf(podOf({ hostUsers: false }, "u2"), "");
      expect(first).toEqual({ mode: "POD", uids: [{ hostId: 65_536, containerId: 0, length: 65_536 }], gids: first?.uids });
      expect(second?.uids[0]?.hostId).toBe(131_072);
      expect(await new UserNamespaces(deps).mappingOf(podOf({ hostUsers: false }, "u2"), "")).toEqual(second);
      expect(JSON.parse(await readFile(join(directory, "u1", "userns"), "utf8"))).toMatchObject({ uidMappings: [{ hostId: 65_536 }] });
      expect(await namespaces.mappingOf(podOf({}), "")).toBeUndefined();
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it("says so where the runtime cannot", async () => {
    const namespaces = new UserNamespaces({ podDirectory: () => "", podsOnDisk: async () => [], isSupported: () => false });
    await expect(namespaces.mappingOf(podOf({ hostUsers: false }), "")).rejects.toThrow(
      "can't set `spec.hostUsers: false`, runtime does not support user namespaces",
    );
    await expect(namespaces.mappingOf(podOf({ hostUsers: false }), "kata")).rejects.toThrow('RuntimeClass handler "kata" does not support');
  });
});
