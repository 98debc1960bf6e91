import { beforeEach, describe, expect, it } from "vitest";
import { jobs, namespaces, pods } from "../../api/resources.generated.ts";
import type { Pod, PodSpec } from "../../api/types/core-v1.ts";
import { MemoryReader } from "./memory-reader.ts";
import { createPodSecurity, type PodSecuritySettings } from "./pod-security.ts";
import { podViolations } from "./pod-security-checks.ts";
import { noPodSecurity } from "./pod-security-policy.ts";
import { admissionRequest, readingClient, runPlugin } from "./request-fixture.ts";

const key = "pod-security.kubernetes.io/";
let reader: MemoryReader;
beforeEach(() => {
  reader = new MemoryReader();
});

const namespace = (labels: Record<string, string>) =>
  new MemoryReader().put(namespaces, {
    metadata: { name: "ns", labels: Object.fromEntries(Object.entries(labels).map(([k, v]) => [key + k, v])) },
    spec: {},
  });
const hold = (labels: Record<string, string>) => reader.put(namespaces, namespace(labels));

const hardened: PodSpec = {
  containers: [{ name: "c", image: "x", securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } } }],
  securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
};
const pod = (spec: Partial<PodSpec> = {}, name = "p"): Pod =>
  new MemoryReader().put(pods, { metadata: { namespace: "ns", name }, spec: { containers: [{ name: "c", image: "x" }], ...spec } });

/** Violations as they are told: "reason (detail)". */
const violations = (spec: Partial<PodSpec>, level: "baseline" | "restricted" = "baseline", version?: number) =>
  podViolations({ annotations: {}, spec: { containers: [{ name: "c", image: "x" }], ...spec } }, level, version).map(
    (v) => `${v.reason} (${v.detail})`,
  );

const container = (securityContext: object, name = "c") => ({ name, image: "x", securityContext });

describe("the baseline level", () => {
  it.each<[string, Partial<PodSpec>, string]>([
    [
      "privileged containers",
      { containers: [container({ privileged: true })], initContainers: [container({ privileged: true }, "i")] },
      'privileged (containers "i", "c" must not set securityContext.privileged=true)',
    ],
    [
      "added capabilities",
      { containers: [container({ capabilities: { add: ["SYS_TIME", "NET_ADMIN", "CHOWN"] } })] },
      'non-default capabilities (container "c" must not include "NET_ADMIN", "SYS_TIME" in securityContext.capabilities.add)',
    ],
    ["host path volumes", { volumes: [{ name: "v", hostPath: { path: "/" } }] }, 'hostPath volumes (volume "v")'],
    [
      "host ports",
      {
        containers: [
          {
            name: "c",
            image: "x",
            ports: [
              { containerPort: 80, hostPort: 8081 },
              { containerPort: 81, hostPort: 80 },
            ],
          },
        ],
      },
      'hostPort (container "c" uses hostPorts 80, 8081)',
    ],
    [
      "unconfined AppArmor",
      { securityContext: { appArmorProfile: { type: "Unconfined" } } },
      'forbidden AppArmor profile (pod must not set AppArmor profile type to "Unconfined")',
    ],
    [
      "SELinux options",
      { containers: [container({ seLinuxOptions: { user: "x" } })], securityContext: { seLinuxOptions: { type: "bad_t" } } },
      'seLinuxOptions (pod and container "c" set forbidden securityContext.seLinuxOptions: type "bad_t"; user may not be set)',
    ],
    [
      "unconfined seccomp",
      { containers: [container({ seccompProfile: { type: "Unconfined" } })], securityContext: { seccompProfile: { type: "Unconfined" } } },
      'seccompProfile (pod and container "c" must not set securityContext.seccompProfile.type to "Unconfined")',
    ],
    [
      "unsafe sysctls",
      {
        securityContext: {
          sysctls: [
            { name: "kernel.msgmax", value: "1" },
            { name: "net.ipv4.tcp_rmem", value: "0" },
          ],
        },
      },
      "forbidden sysctls (kernel.msgmax)",
    ],
    [
      "Windows host processes",
      { securityContext: { windowsOptions: { hostProcess: true } } },
      "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)",
    ],
    [
      "probes of other hosts",
      { containers: [{ name: "c", image: "x", livenessProbe: { httpGet: { port: 80, host: "10.0.0.1" } } }] },
      'probe or lifecycle host (container "c" uses probe or lifecycle host "10.0.0.1")',
    ],
    ["host namespaces", { hostNetwork: true, hostIPC: true }, "host namespaces (hostNetwork=true, hostIPC=true)"],
  ])("forbids %s", (_what, spec, text) => {
    expect(violations(spec)).toEqual([text]);
  });

  it("accepts ordinary pods", () => {
    expect(
      violations({
        containers: [container({ runAsUser: 0, capabilities: { add: ["CHOWN"] } })],
        volumes: [{ name: "v", nfs: { server: "s", path: "/" } }],
      }),
    ).toEqual([]);
  });

  it("is what it was at the version asked for", () => {
    const unmasked = { containers: [container({ procMount: "Unmasked" })], hostUsers: false };
    expect(violations(unmasked, "baseline", 30)).toEqual([
      'procMount (container "c" must not set securityContext.procMount to "Unmasked")',
    ]);
    expect(violations(unmasked)).toEqual([]);
    expect(violations(unmasked, "baseline", 99)).toEqual([]);
    expect(violations({ securityContext: { sysctls: [{ name: "net.ipv4.tcp_rmem", value: "0" }] } }, "baseline", 31)).toEqual([
      "forbidden sysctls (net.ipv4.tcp_rmem)",
    ]);
  });
});

describe("the restricted level", () => {
  it("tells everything that is wrong with a plain pod", () => {
    expect(violations({ volumes: [{ name: "v", hostPath: { path: "/" } }] }, "restricted")).toEqual([
      'allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false)',
      'unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"])',
      'restricted volume types (volume "v" uses restricted volume type "hostPath")',
      'runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true)',
      'seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
    ]);
  });

  it("accepts a hardened pod, and not as root", () => {
    expect(violations(hardened, "restricted")).toEqual([]);
    expect(violations({ ...hardened, securityContext: { ...hardened.securityContext, runAsUser: 0 } }, "restricted")).toEqual([
      "runAsUser=0 (pod must not set runAsUser=0)",
    ]);
    expect(violations({ ...hardened, securityContext: { ...hardened.securityContext, runAsNonRoot: false } }, "restricted")).toEqual([
      "runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)",
    ]);
  });
});

describe("PodSecurity", () => {
  const run = async (request: ReturnType<typeof admissionRequest>) => {
    const warnings: string[] = [];
    await runPlugin(createPodSecurity({ reader, client: readingClient(reader) }), { ...request, warn: (text) => warnings.push(text) });
    return warnings;
  };

  it("checks nothing without labels", async () => {
    hold({});
    expect(await run(admissionRequest(pods, pod({ hostNetwork: true })))).toEqual([]);
  });

  it("refuses pods beyond the enforced level", async () => {
    hold({ enforce: "baseline" });
    await expect(run(admissionRequest(pods, pod({ hostNetwork: true })))).rejects.toMatchObject({
      code: 403,
      message: 'pods "p" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)',
    });
    expect(await run(admissionRequest(pods, pod()))).toEqual([]);
  });

  it("warns of pods and templates", async () => {
    hold({ warn: "baseline", "warn-version": "v1.30" });
    const text = 'would violate PodSecurity "baseline:v1.30": host namespaces (hostNetwork=true)';
    expect(await run(admissionRequest(pods, pod({ hostNetwork: true })))).toEqual([text]);
    const template = { spec: { hostNetwork: true, containers: [{ name: "c", image: "x" }] } };
    const job = new MemoryReader().put(jobs, { metadata: { namespace: "ns", name: "j" }, spec: { template } });
    expect(await run(admissionRequest(jobs, job))).toEqual([text]);
  });

  it("warns of templates at the enforced level where nothing else is said", async () => {
    hold({ enforce: "baseline" });
    const template = { spec: { hostNetwork: true, containers: [{ name: "c", image: "x" }] } };
    const job = new MemoryReader().put(jobs, { metadata: { namespace: "ns", name: "j" }, spec: { template } });
    expect(await run(admissionRequest(jobs, job))).toHaveLength(1);
  });

  it("lets violating pods be relabelled, but not get other images", async () => {
    hold({ enforce: "baseline" });
    const old = pod({ hostNetwork: true });
    const labelled = { ...old, metadata: { ...old.metadata, labels: { a: "b" } } };
    await run(admissionRequest(pods, labelled, { operation: "UPDATE", oldObject: old }));
    const changed = pod({ hostNetwork: true, containers: [{ name: "c", image: "other" }] });
    await expect(run(admissionRequest(pods, changed, { operation: "UPDATE", oldObject: old }))).rejects.toMatchObject({ code: 403 });
  });

  it("refuses labels it does not understand, unless they were there before", async () => {
    const bad = namespace({ enforce: "strict", "warn-version": "1.25" });
    await expect(run(admissionRequest(namespaces, bad))).rejects.toMatchObject({
      code: 422,
      message:
        'Namespace "ns" is invalid: [metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "strict": must be one of privileged, baseline, restricted, metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: "1.25": must be "latest" or "v1.x"]',
    });
    await run(admissionRequest(namespaces, bad, { operation: "UPDATE", oldObject: bad }));
  });

  it("tells whoever tightens a namespace which pods would not pass", async () => {
    for (const name of ["b", "a", "c"]) reader.put(pods, pod({ hostNetwork: true }, name));
    reader.put(pods, pod({}, "d"));
    const tighten = (labels: Record<string, string>, before: Record<string, string> = {}) =>
      run(admissionRequest(namespaces, namespace(labels), { operation: "UPDATE", oldObject: namespace(before) }));
    expect(await tighten({ enforce: "baseline" })).toEqual([
      'existing pods in namespace "ns" violate the new PodSecurity enforce level "baseline:latest"',
      "a (and 2 other pods): host namespaces",
    ]);
    expect(await tighten({ enforce: "baseline" }, { enforce: "restricted" })).toEqual([]);
  });

  describe("with a configuration", () => {
    const settings: PodSecuritySettings = {
      defaults: { ...noPodSecurity, enforce: { level: "baseline", version: undefined } },
      exemptions: { usernames: new Set(["root"]), namespaces: new Set(["free"]), runtimeClasses: new Set(["kata"]) },
    };
    const configured = async (request: ReturnType<typeof admissionRequest>) => {
      const told: Record<string, string> = {};
      const warnings: string[] = [];
      const annotate = (name: string, value: string): void => {
        told[name.slice(key.length)] = value;
      };
      const plugin = createPodSecurity({ reader, client: readingClient(reader) }, settings);
      await runPlugin(plugin, { ...request, annotate, warn: (text) => warnings.push(text) });
      return { told, warnings };
    };
    const violating = pod({ hostNetwork: true });

    it("holds namespaces without labels to the defaults", async () => {
      hold({});
      await expect(configured(admissionRequest(pods, violating))).rejects.toThrow('violates PodSecurity "baseline:latest"');
      hold({ enforce: "privileged", audit: "baseline" });
      expect((await configured(admissionRequest(pods, violating))).told).toEqual({
        "enforce-policy": "privileged:latest",
        "audit-violations": 'would violate PodSecurity "baseline:latest": host namespaces (hostNetwork=true)',
      });
    });

    it("leaves out who and what is exempt, and says so", async () => {
      hold({});
      const root = { user: { name: "root", groups: [] } };
      expect((await configured(admissionRequest(pods, violating, root))).told).toEqual({ exempt: "user" });
      expect((await configured(admissionRequest(pods, violating, { namespace: "free" }))).told).toEqual({ exempt: "namespace" });
      const kata = pod({ hostNetwork: true, runtimeClassName: "kata" });
      expect((await configured(admissionRequest(pods, kata))).told).toEqual({ exempt: "runtimeClass" });
      const free = {
        ...namespace({ enforce: "restricted" }),
        metadata: { ...namespace({ enforce: "restricted" }).metadata, name: "free" },
      };
      expect((await configured(admissionRequest(namespaces, free))).warnings).toEqual([
        'namespace "free" is exempt from Pod Security, and the policy (enforce=restricted:latest) will be ignored',
      ]);
    });
  });
});
