// Manifests of admission: what is refused, lists and several documents in one file, and that changed files count from then on.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { realClock } from "../../../base/clock.ts";
import { silentLogger } from "../../../base/log.ts";
import { MetricsRegistry } from "../../../base/metrics.ts";
import { createManifestReloadMetrics } from "../../configuration/reload-metrics.ts";
import { configMap, createPolicyFixture, mapsPath, policiesPath, rulesFor } from "../policies/policy-fixture.ts";
import { followManifests } from "./followed-manifests.ts";
import { checkManifestsDirectory } from "./open-manifests.ts";
import { readPolicyManifests, readWebhookManifests } from "./read-manifests.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "manifests-"));
});
afterEach(() => rm(directory, { recursive: true }));

const write = (name: string, ...documents: readonly object[]): Promise<void> =>
  writeFile(join(directory, name), documents.map((document) => JSON.stringify(document)).join("\n---\n"));

const apiVersion = "admissionregistration.k8s.io/v1";
const webhook = (name: string, clientConfig: object, more: object = {}) => ({
  apiVersion,
  kind: "ValidatingWebhookConfiguration",
  metadata: { name },
  webhooks: [{ name: "a.example.com", clientConfig, sideEffects: "None", admissionReviewVersions: ["v1"], ...more }],
});
const policy = (name: string, expression: string, more: object = {}) => ({
  apiVersion,
  kind: "ValidatingAdmissionPolicy",
  metadata: { name },
  spec: { matchConstraints: rulesFor(["configmaps", "validatingadmissionpolicies"]), validations: [{ expression }], ...more },
});
const binding = (name: string, policyName = name, more: object = {}) => ({
  apiVersion,
  kind: "ValidatingAdmissionPolicyBinding",
  metadata: { name },
  spec: { policyName, validationActions: ["Deny"], ...more },
});
const url = { url: "https://example.com/" };

describe("manifests of webhooks", () => {
  it.each([
    [[{ apiVersion, kind: "ValidatingWebhookConfiguration" }], "metadata.name: Required value: name or generateName is required"],
    [[webhook("a", url)], 'must have a name ending with ".static.k8s.io"'],
    [[webhook("a.static.k8s.io", url), webhook("a.static.k8s.io", url)], 'duplicate name "a.static.k8s.io" found in file'],
    [
      [webhook("a.static.k8s.io", { service: { name: "s", namespace: "n" } })],
      "clientConfig.service is not supported for static manifests; use clientConfig.url instead",
    ],
    [
      [webhook("a.static.k8s.io", url, { sideEffects: "Some" })],
      'ValidatingWebhookConfiguration "a.static.k8s.io": webhooks[0].sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"',
    ],
    [[webhook("a.static.k8s.io", url, { typo: 1 })], 'strict decoding error: unknown field "webhooks[0].typo"'],
    [
      [{ ...webhook("a.static.k8s.io", url), kind: "MutatingWebhookConfiguration" }],
      "unsupported resource type *v1.MutatingWebhookConfiguration",
    ],
    [[{ apiVersion: "v1", kind: "ConfigMap", metadata: {} }], 'no kind "ConfigMap" is registered for version "v1"'],
    [[{ metadata: {} }], "Object 'Kind' is missing in"],
  ])("refuses %j", async (documents, message) => {
    await write("a.yaml", ...documents);
    await expect(readWebhookManifests("Validating", directory)).rejects.toThrow(message);
  });

  it("reads lists and files in any of the forms, sorted by name, and no other files", async () => {
    await write("b.yml", { apiVersion: "v1", kind: "List", items: [webhook("z.static.k8s.io", url)] });
    const { kind: _, apiVersion: __, ...item } = webhook("a.static.k8s.io", url);
    await write("c.JSON", { apiVersion, kind: "ValidatingWebhookConfigurationList", items: [item] });
    await write("readme.txt", { not: "one" });
    await mkdir(join(directory, "folder.yaml"));
    const { configurations, hash } = await readWebhookManifests("Validating", directory);
    expect(configurations.map(({ metadata }) => metadata.name)).toEqual(["a.static.k8s.io", "z.static.k8s.io"]);
    expect(configurations[0]?.webhooks?.[0]).toMatchObject({ timeoutSeconds: 10, failurePolicy: "Fail" });
    expect(hash).toMatch(/^sha256:[0-9a-f]{64}$/);
  });
});

describe("manifests of policies", () => {
  it.each([
    [[policy("p.static.k8s.io", "true", { paramKind: { apiVersion: "v1", kind: "ConfigMap" } })], "spec.paramKind is not supported"],
    [[policy("p.static.k8s.io", "1 +")], "spec.validations[0].expression: Invalid value"],
    [[binding("b.static.k8s.io", "p")], 'binding "b.static.k8s.io": spec.policyName "p" must end with ".static.k8s.io"'],
    [
      [binding("b.static.k8s.io")],
      'binding "b.static.k8s.io" references policy "b.static.k8s.io" which does not exist in the manifest directory',
    ],
    [
      [
        policy("p.static.k8s.io", "true"),
        binding("p.static.k8s.io", undefined, { paramRef: { name: "x", parameterNotFoundAction: "Deny" } }),
      ],
      "spec.paramRef is not supported for static manifests",
    ],
  ])("refuses %j", async (documents, message) => {
    await write("a.yaml", ...documents);
    await expect(readPolicyManifests("Validating", directory)).rejects.toThrow(message);
  });

  it("are in force from the start, for what configures admission too, and in their new form once the files have changed", async () => {
    await write("a.yaml", policy("p.static.k8s.io", "!object.metadata.name.startsWith('bad')"), binding("p.static.k8s.io"));
    const read = () => readPolicyManifests("Validating", directory);
    const metrics = new MetricsRegistry();
    const reloads = createManifestReloadMetrics({ metrics, clock: realClock })("ValidatingAdmissionPolicy");
    const manifests = await followManifests({ name: "policies", directory, read, reloads }, { clock: realClock, logger: silentLogger });
    onTestFinished(() => manifests.stop());
    const api = await createPolicyFixture([], manifests);
    onTestFinished(() => api.stop());
    const refused = await api.post(mapsPath, configMap("bad"));
    expect([refused.status, refused.body.message]).toEqual([
      422,
      `configmaps "bad" is forbidden: ValidatingAdmissionPolicy 'p.static.k8s.io' with binding 'p.static.k8s.io' denied request: failed expression: !object.metadata.name.startsWith('bad')`,
    ]);
    expect((await api.post(mapsPath, configMap("good"))).status).toBe(201);
    expect((await api.post(`${policiesPath}/validatingadmissionpolicies`, policy("bad-one", "true"))).status).toBe(422);
    await write("a.yaml", policy("p.static.k8s.io", "!object.metadata.name.startsWith('worse')"), binding("p.static.k8s.io"));
    await vi.waitFor(async () => expect((await api.post(mapsPath, configMap("worse"))).status).toBe(422), { timeout: 60_000 });
    expect((await api.post(mapsPath, configMap("bad"))).status).toBe(201);
    await write("a.yaml", { apiVersion, kind: "Nonsense" });
    await expect(read()).rejects.toThrow("unsupported resource type *v1.Nonsense");
    expect((await api.post(mapsPath, configMap("worse"))).status).toBe(422);
    const failure = /reloads_total\{.*plugin="ValidatingAdmissionPolicy",status="failure"\} 1/;
    await vi.waitFor(() => expect(metrics.text()).toMatch(failure), { timeout: 60_000 });
    expect(metrics.text()).toMatch(/reloads_total\{.*plugin="ValidatingAdmissionPolicy",status="success"\} 2/);
    expect(metrics.text().match(/last_config_info\{.*hash="sha256:.*plugin="ValidatingAdmissionPolicy"\} 1/g)).toHaveLength(1);
  });
});

describe("checkManifestsDirectory()", () => {
  it("wants the gate, and a directory by an absolute path", async () => {
    const file = join(directory, "file");
    await writeFile(file, "");
    expect(() => checkManifestsDirectory(directory, true)).not.toThrow();
    expect(() => checkManifestsDirectory(directory, false)).toThrow(
      "staticManifestsDir: Forbidden: staticManifestsDir requires the ManifestBasedAdmissionControlConfig feature gate to be enabled",
    );
    expect(() => checkManifestsDirectory("here", true)).toThrow('staticManifestsDir: Invalid value: "here": must be an absolute file path');
    expect(() => checkManifestsDirectory(file, true)).toThrow(
      `staticManifestsDir: Invalid value: ${JSON.stringify(file)}: must be a directory`,
    );
    expect(() => checkManifestsDirectory(`${file}s`, true)).toThrow(`unable to read: stat ${file}s: no such file or directory`);
  });
});
