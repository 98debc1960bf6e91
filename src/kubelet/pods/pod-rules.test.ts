// Small rules of pods: sysctls, AppArmor and groups at the door, host names, resolvers, messages, users of their own.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ContainerStatus, Node, Pod, PodSpec } from "../../api/types/core-v1.ts";
import { podResolver } from "../containers/dns.ts";
import { kernelHostname, podHostname } from "../containers/hosts-file.ts";
import { forbiddenSysctl } from "../containers/sysctls.ts";
import { UserNamespaces } from "../containers/user-namespaces.ts";
import { limitMessages } from "../status/message-limit.ts";
import { admitPod } from "./admission.ts";

function podOf(spec: Partial<PodSpec>, uid = "u1"): Pod {
  const metadata = { name: "web", namespace: "default", uid } as Pod["metadata"];
  return { apiVersion: "v1", kind: "Pod", metadata, spec: { containers: [{ name: "main" }], ...spec } };
}

describe("forbiddenSysctl()", () => {
  const rules = { allowedUnsafe: ["kernel.msg*", "net.core.somaxconn"], kernelVersion: "6.1.0-18-amd64" };
  const forbidden = (name: string, spec: Partial<PodSpec> = {}, kernelVersion = rules.kernelVersion): string | undefined =>
    forbiddenSysctl(podOf({ ...spec, securityContext: { sysctls: [{ name, value: "1" }] } }), { ...rules, kernelVersion });

  it.each(["kernel.shm_rmid_forced", "kernel/shm_rmid_forced", "net.ipv4.tcp_rmem", "kernel.msgmax", "net.core.somaxconn"])(
    "allows %s",
    (name) => expect(forbidden(name)).toBeUndefined(),
  );

  it("refuses what is not known to be safe, on this kernel", () => {
    expect(forbidden("kernel.sem")).toBe('forbidden sysctl: "kernel.sem" not allowlisted');
    expect(forbidden("net.ipv4.tcp_rmem", {}, "4.9.0")).toBe('forbidden sysctl: "net.ipv4.tcp_rmem" not allowlisted');
  });

  it("refuses those of namespaces that are the node's", () => {
    expect(forbidden("net.ipv4.tcp_syncookies", { hostNetwork: true })).toBe(
      'forbidden sysctl: "net.ipv4.tcp_syncookies" not allowed with host Net enabled',
    );
    expect(forbidden("kernel.msgmax", { hostIPC: true })).toBe('forbidden sysctl: "kernel.msgmax" not allowed with host IPC enabled');
  });
});

describe("admitPod()", () => {
  const node = { metadata: { name: "n" }, status: { allocatable: { pods: "10" } } } as unknown as Node; // all that is looked at
  const machine = { appArmor: false, kernelVersion: "6.1", allowedUnsafe: [] };
  const refusal = (spec: Partial<PodSpec>, of: Node = node, rules = machine) => {
    const admission = admitPod(podOf(spec), [], { node: of, pressure: [], shuttingDown: false, machine: rules });
    return admission.kind === "refused" ? admission.verdict : undefined;
  };

  it("refuses AppArmor profiles where the kernel has no AppArmor", () => {
    const securityContext = { appArmorProfile: { type: "RuntimeDefault" as const } };
    expect(refusal({ securityContext })).toMatchObject({
      reason: "AppArmor",
      message: "Pod was rejected: Cannot enforce AppArmor: AppArmor is not enabled on the host",
    });
    expect(refusal({ securityContext }, node, { ...machine, appArmor: true })).toBeUndefined();
    expect(refusal({ securityContext: { appArmorProfile: { type: "Unconfined" } } })).toBeUndefined();
  });

  it("refuses strict groups where the runtime cannot keep them", () => {
    const spec = { securityContext: { supplementalGroupsPolicy: "Strict" as const } };
    expect(refusal(spec)).toMatchObject({ reason: "SupplementalGroupsPolicyNotSupported" });
    const able = { ...node, status: { ...node.status, features: { supplementalGroupsPolicy: true } } } as Node;
    expect(refusal(spec, able)).toBeUndefined();
  });
});

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
