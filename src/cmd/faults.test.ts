// What commands say of files that they are given and cannot use: which flag named them, and what was expected.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { operationsFlags, operationsSettings } from "../apiserver/operations-options.ts";
import { VirtualClock } from "../base/clock.ts";
import { parseFlags } from "../base/flags.ts";
import { silentLogger } from "../base/log.ts";
import { MetricsRegistry } from "../base/metrics.ts";
import { createAudit } from "./apiserver/audit.ts";
import { connectToCluster } from "./component/connect.ts";
import { loadConnection } from "./kubelet/node-client.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "faults-"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(directory, { recursive: true, force: true });
});

describe("a kubeconfig that cannot be used", () => {
  it.each([
    ["a command against an API server", (path?: string) => connectToCluster({ kubeconfig: path, clock: new VirtualClock() })],
    ["a node", (path?: string) => loadConnection(path)],
  ])("%s names the flag, or where the file's name came from", async (_, load) => {
    const missing = join(directory, "none");
    await expect(load(missing)).rejects.toThrow(`--kubeconfig: ${missing}: the kubeconfig cannot be read`);
    const empty = join(directory, "empty");
    await writeFile(empty, "");
    await expect(load(empty)).rejects.toThrow(`--kubeconfig: ${empty}: current-context is not set`);
    vi.stubEnv("KUBECONFIG", empty);
    await expect(load()).rejects.toThrow(`${empty}: current-context is not set (KUBECONFIG names this file; --kubeconfig names another)`);
    vi.stubEnv("KUBECONFIG", "");
    vi.stubEnv("HOME", directory);
    await expect(load()).rejects.toThrow(/current-context is not set \(--kubeconfig or KUBECONFIG names another file\)/);
  });
});

describe("an audit policy", () => {
  const audit = async (policyFile: string) => {
    const { values } = parseFlags(operationsFlags, ["--audit-policy-file", policyFile]);
    const { audit } = operationsSettings(values);
    return createAudit(audit, { clock: new VirtualClock(), logger: silentLogger, metrics: new MetricsRegistry() });
  };

  it("is read where nothing is recorded too, so that a wrong one is not found later", async () => {
    await expect(audit(join(directory, "none"))).rejects.toThrow(/^--audit-policy-file: ENOENT/);
    const wrong = join(directory, "wrong.yaml");
    await writeFile(wrong, "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Everything}]\n");
    await expect(audit(wrong)).rejects.toThrow(/^--audit-policy-file: .*level/);
  });

  it("records nothing without a back end", async () => {
    const good = join(directory, "good.yaml");
    await writeFile(good, "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n");
    expect(await audit(good)).toBeUndefined();
  });
});
