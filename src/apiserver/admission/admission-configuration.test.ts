import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readAdmissionConfiguration } from "./admission-configuration.ts";
import { userFor } from "./webhooks/webhook-credentials.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "admission-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function read(text: string) {
  const path = join(folder, "admission.yaml");
  await writeFile(path, text);
  return readAdmissionConfiguration(path);
}
const withPlugin = (name: string, configuration: string): string =>
  `apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n- name: ${name}\n  configuration:\n${configuration
    .trim()
    .split("\n")
    .map((line) => `    ${line}`)
    .join("\n")}\n`;

describe("readAdmissionConfiguration()", () => {
  it("reads PodSecurity's defaults and exemptions", async () => {
    const { PodSecurity } = await read(
      withPlugin(
        "PodSecurity",
        `
apiVersion: pod-security.admission.config.k8s.io/v1
kind: PodSecurityConfiguration
defaults: {enforce: baseline, enforce-version: v1.30, warn: restricted}
exemptions: {namespaces: [kube-system], usernames: [root]}`,
      ),
    );
    expect(PodSecurity?.defaults).toEqual({
      enforce: { level: "baseline", version: 30 },
      audit: { level: "privileged", version: undefined },
      warn: { level: "restricted", version: undefined },
    });
    expect(PodSecurity?.exemptions.namespaces).toEqual(new Set(["kube-system"]));
  });

  it("reads what a plugin's path names, relative to the file", async () => {
    await writeFile(
      join(folder, "events.yaml"),
      "apiVersion: eventratelimit.admission.k8s.io/v1alpha1\nkind: Configuration\nlimits: [{type: Server, qps: 5, burst: 10}]\n",
    );
    const { EventRateLimit } = await read(
      "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins: [{name: EventRateLimit, path: events.yaml}]\n",
    );
    expect(EventRateLimit).toEqual([{ type: "Server", qps: 5, burst: 10, cacheSize: 4096 }]);
  });

  it("reads the others", async () => {
    const quota =
      "apiVersion: apiserver.config.k8s.io/v1\nkind: ResourceQuotaConfiguration\nlimitedResources:\n- {resource: pods, matchContains: [cpu]}";
    expect((await read(withPlugin("ResourceQuota", quota))).ResourceQuota).toEqual([
      { apiGroup: "", resource: "pods", matchContains: ["cpu"], matchScopes: [] },
    ]);
    const hooks = "apiVersion: apiserver.config.k8s.io/v1\nkind: WebhookAdmissionConfiguration\nkubeConfigFile: /etc/hooks";
    expect((await read(withPlugin("ValidatingAdmissionWebhook", hooks))).ValidatingAdmissionWebhook).toEqual({
      kubeConfigFile: "/etc/hooks",
    });
    const tolerations = `apiVersion: podtolerationrestriction.admission.k8s.io/v1alpha1\nkind: Configuration\ndefault: [{key: a, operator: Exists}]`;
    expect((await read(withPlugin("PodTolerationRestriction", tolerations))).PodTolerationRestriction).toEqual({
      default: [{ key: "a", operator: "Exists" }],
      whitelist: [],
    });
    expect((await read("podNodeSelectorPluginConfig: {ns: a=b}")).PodNodeSelector).toEqual(new Map([["ns", "a=b"]]));
    expect((await read("imagePolicy: {kubeConfigFile: /f, allowTTL: 50, denyTTL: -1}")).ImagePolicyWebhook).toEqual({
      kubeConfigFile: "/f",
      allowTtlMs: 50_000,
      denyTtlMs: 0,
      retryBackoffMs: 500,
      defaultAllow: false,
    });
  });

  it("says what is wrong, and where", async () => {
    const problem = (text: string): Promise<string> =>
      read(text).then(
        () => "none",
        (error: Error) => error.message,
      );
    expect(await problem("apiVersion: v1\nkind: Pod\n")).toContain("kind: expected AdmissionConfiguration");
    const level = "apiVersion: pod-security.admission.config.k8s.io/v1\nkind: PodSecurityConfiguration\ndefaults: {enforce: strict}";
    expect(await problem(withPlugin("PodSecurity", level))).toBe(
      "plugins[0].configuration.defaults.enforce: must be one of privileged, baseline, restricted",
    );
    expect(
      await problem(withPlugin("MutatingAdmissionWebhook", "apiVersion: apiserver.config.k8s.io/v1alpha1\nkind: WebhookAdmission")),
    ).toContain("kind: expected WebhookAdmissionConfiguration");
    expect(await problem(withPlugin("EventRateLimit", "apiVersion: eventratelimit.admission.k8s.io/v1alpha1\nkind: Configuration"))).toBe(
      "plugins[0].configuration.limits: must not be empty",
    );
    expect(await problem(withPlugin("PodSecurity", "limits: []"))).toContain("kind: expected PodSecurityConfiguration");
  });
});

describe("userFor()", () => {
  it("finds the user for a host as closely as there is one", () => {
    const names = (...all: string[]) => new Set(all);
    expect(userFor("a.ns.svc:443", names("a.ns.svc", "*"))).toBe("a.ns.svc");
    expect(userFor("a.ns.svc:8443", names("a.ns.svc", "*.svc:8443", "*"))).toBe("*.svc:8443");
    expect(userFor("a.ns.svc:443", names("*.ns.svc", "*.svc"))).toBe("*.ns.svc");
    expect(userFor("a.ns.svc:8443", names("a.ns.svc"))).toBeUndefined();
    expect(userFor("b:443", names("*"))).toBe("*");
    expect(userFor("b:443", names("c"), "c")).toBe("c");
  });
});
