// --runtime-config and --feature-gates as a user of the server sees them.
import { generateKeyPairSync } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { certificatePem, generateKey, issueCertificate } from "../../base/x509/certificate.ts";
import { createSigningRequest } from "../../base/x509/signing-request.ts";
import { ApiServerFixture, type CallOptions, call, type Reply } from "./apiserver-fixture.ts";
import type { RunningApiServer } from "./start-apiserver.ts";

let fixture: ApiServerFixture;
beforeEach(async () => {
  fixture = await ApiServerFixture.create();
});
afterEach(() => fixture[Symbol.asyncDispose]());

const gates = "--feature-gates=ClusterTrustBundle=true,ClusterTrustBundleProjection=true,PodCertificateRequest=true";

async function start(...args: string[]): Promise<(path: string, options?: CallOptions) => Promise<Reply & { readonly body: Body }>> {
  const tokens = await fixture.file("tokens", 'T,admin,admin,"system:masters"\n');
  const server: RunningApiServer = await fixture.start(`--token-auth-file=${tokens}`, ...args);
  return async (path, options = {}) => {
    const reply = await call(server, path, { token: "T", ...options });
    // Of a watch, whose answer is many documents, the text is read.
    const isDocument = reply.text.startsWith("{") && !path.includes("watch=true");
    return { ...reply, body: (isDocument ? JSON.parse(reply.text) : {}) as Body };
  };
}

// biome-ignore lint/suspicious/noExplicitAny: objects of many kinds, of which each test reads what it expects
type Body = any;

const post = (body: unknown): CallOptions => ({ method: "POST", body });

function authorityPem(): string {
  const { privateKey, publicKey } = generateKey();
  const subject = { commonName: "anchor", organizations: [] };
  const times = { notBeforeMs: Date.now() - 1000, notAfterMs: Date.now() + 3_600_000 };
  return certificatePem(
    issueCertificate(
      { subject, publicKey, ...times, keyUsages: ["certSign"], extendedKeyUsages: [], isAuthority: true },
      { key: privateKey },
    ),
  );
}

describe("--runtime-config", () => {
  it("what is turned off is not found, in no discovery document, and gone from its group", async () => {
    const get = await start("--runtime-config=batch/v1=false,apps/v1/daemonsets=false");
    expect((await get("/apis/batch/v1/jobs")).status).toBe(404);
    expect((await get("/apis")).body.groups.map((g: Body) => g.name)).not.toContain("batch");
    expect((await get("/apis/apps/v1")).body.resources.map((r: Body) => r.name)).not.toContain("daemonsets");
    expect((await get("/apis/apps/v1/deployments")).status).toBe(200);
  });

  it("a version that is off by default is another view of the same objects", async () => {
    const get = await start("--runtime-config=resource.k8s.io/v1beta1=true");
    const claims = (version: string): string => `/apis/resource.k8s.io/${version}/namespaces/default/resourceclaims`;
    const request = { name: "gpu", deviceClassName: "fast" };
    const created = await get(
      claims("v1beta1"),
      post({
        apiVersion: "resource.k8s.io/v1beta1",
        kind: "ResourceClaim",
        metadata: { name: "a" },
        spec: { devices: { requests: [request] } },
      }),
    );
    expect(created.status).toBe(201);
    expect(created.headers.warning).toBe('299 - "resource.k8s.io/v1beta1 ResourceClaim is deprecated in v1.35+, unavailable in v1.38+"');
    const exactly = { deviceClassName: "fast", allocationMode: "ExactCount", count: 1 };
    expect(created.body).toMatchObject({
      apiVersion: "resource.k8s.io/v1beta1",
      spec: { devices: { requests: [{ name: "gpu", ...exactly }] } },
    });
    const [stored] = (await get(claims("v1"))).body.items;
    expect(stored.spec.devices.requests).toEqual([{ name: "gpu", exactly }]);
    const versions = (await get("/apis/resource.k8s.io")).body.versions.map((v: Body) => v.version);
    expect(versions).toEqual(["v1", "v1beta1"]);
  });

  it("is refused with upstream's words", async () => {
    expect(await fixture.problem("--runtime-config=foo/v1=true")).toBe("unknown api groups foo/v1");
  });
});

describe("kinds behind feature gates", () => {
  it("are not served while their gate is off", async () => {
    const get = await start("--runtime-config=certificates.k8s.io/v1beta1=true");
    expect((await get("/apis/certificates.k8s.io/v1beta1/clustertrustbundles")).status).toBe(404);
  });

  it("a group of pods is made from a template of a workload, without what is behind further gates", async () => {
    const get = await start("--runtime-config=scheduling.k8s.io/v1alpha2=true", "--feature-gates=GenericWorkload=true");
    const at = "/apis/scheduling.k8s.io/v1alpha2/namespaces/default";
    const schedulingPolicy = { gang: { minCount: 2 } };
    const group = (podGroupTemplateName: string): CallOptions =>
      post({
        metadata: { name: "g" },
        spec: { schedulingPolicy, podGroupTemplateRef: { workload: { workloadName: "w", podGroupTemplateName } } },
      });
    const problem = async (name: string): Promise<unknown> => (await get(`${at}/podgroups`, group(name))).body.message;
    const forbidden = 'podgroups.scheduling.k8s.io "g" is forbidden: PodGroup rejected: ';
    expect(await problem("a")).toBe(`${forbidden}Workload "w" not found`);
    const templates = [{ name: "a", schedulingPolicy, disruptionMode: "Bad", priorityClassName: "high" }];
    const made = await get(`${at}/workloads`, post({ metadata: { name: "w" }, spec: { podGroupTemplates: templates } }));
    expect(made.body.spec.podGroupTemplates).toEqual([{ name: "a", schedulingPolicy, schedulingConstraints: null }]);
    expect(await problem("b")).toBe(`${forbidden}PodGroupTemplate "b" not found in Workload "w"`);
    expect((await get(`${at}/podgroups`, group("a"))).status).toBe(201);
    const empty = await get(`${at}/workloads`, post({ metadata: { name: "x" } }));
    expect(empty.body.message).toBe('Workload.scheduling.k8s.io "x" is invalid: spec.podGroupTemplates: Required value');
  });

  it("questions for pools of devices are checked, limited and not counted", async () => {
    const get = await start("--runtime-config=resource.k8s.io/v1alpha3=true");
    const path = "/apis/resource.k8s.io/v1alpha3/resourcepoolstatusrequests";
    const made = await get(path, post({ metadata: { name: "a" }, spec: { driver: "d.example" } }));
    expect([made.body.spec, made.body.metadata.generation]).toEqual([{ driver: "d.example", limit: 100 }, undefined]);
    const refused = await get(path, post({ metadata: { name: "b" }, spec: { driver: "d.example", poolName: "p//q", limit: 1001 } }));
    expect(refused.body.details.causes.map((c: Body) => c.message)).toEqual([
      'Invalid value: "p//q": segment 1: must not be empty',
      "Invalid value: 1001: must be less than or equal to 1000",
    ]);
  });

  it("trust bundles hold certificates of authorities, each once, under a name that begins with their signer's", async () => {
    const get = await start("--runtime-config=api/beta=true", gates);
    const path = "/apis/certificates.k8s.io/v1beta1/clustertrustbundles";
    const bundle = (name: string, signerName: string, trustBundle: string) => ({ metadata: { name }, spec: { signerName, trustBundle } });
    const pem = authorityPem();
    expect((await get(path, post(bundle("example.com:ca:one", "example.com/ca", pem)))).status).toBe(201);
    const refused = await get(path, post(bundle("one", "example.com/ca", pem + pem)));
    expect(refused.body.details.causes.map((c: Body) => c.message)).toEqual([
      'Invalid value: "one": ClusterTrustBundle for signerName example.com/ca must be named with prefix example.com:ca:',
      'Invalid value: "<value omitted>": duplicate trust anchor (indices [0 1])',
    ]);
    const role = await get("/apis/rbac.authorization.k8s.io/v1/clusterroles/system:cluster-trust-bundle-discovery");
    expect(role.body.rules).toEqual([
      { apiGroups: ["certificates.k8s.io"], resources: ["clustertrustbundles"], verbs: ["get", "list", "watch"] },
    ]);
  });

  it("pods keep their projections of bundles and certificates", async () => {
    const get = await start("--runtime-config=api/beta=true", gates);
    const sources = [
      { clusterTrustBundle: { signerName: "example.com/ca", path: "ca.pem" } },
      { podCertificate: { signerName: "example.com/ca", keyType: "ED25519", credentialBundlePath: "own.pem" } },
    ];
    const pod = {
      metadata: { name: "a" },
      spec: { containers: [{ name: "c", image: "i" }], volumes: [{ name: "v", projected: { sources } }] },
    };
    await get("/api/v1/namespaces/default/serviceaccounts", post({ metadata: { name: "default" } }));
    const { body } = await get("/api/v1/namespaces/default/pods?dryRun=All", post(pod));
    const kept = body.spec.volumes.find((v: Body) => v.name === "v").projected.sources;
    expect(kept).toEqual([sources[0], { podCertificate: { ...sources[1]?.podCertificate, maxExpirationSeconds: 86_400 } }]);
  });

  it("a request for a pod's certificate proves its key, and is answered once", async () => {
    const get = await start("--runtime-config=api/beta=true", gates);
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    const request = createSigningRequest({ commonName: "", organizations: [] }, { privateKey, publicKey });
    const stubPKCS10Request = request.replace(/-----[^-]+-----|\s/g, "");
    const path = "/apis/certificates.k8s.io/v1beta1/namespaces/default/podcertificaterequests";
    const spec = {
      ...{
        signerName: "example.com/pods",
        podName: "p",
        podUID: "1",
        serviceAccountName: "s",
        serviceAccountUID: "2",
        nodeName: "n",
        nodeUID: "3",
      },
      ...{ maxExpirationSeconds: 3600, stubPKCS10Request },
    };
    expect((await get(path, post({ metadata: { name: "a" }, spec }))).status).toBe(201);
    const bad = await get(path, post({ metadata: { name: "b" }, spec: { ...spec, stubPKCS10Request: "AAAA" } }));
    expect(bad.body.message).toContain("spec.stubPKCS10Request: Invalid value: must be a valid PKCS#10 CSR");
    const denied = { type: "Denied", status: "True", reason: "No", message: "", lastTransitionTime: "2026-01-01T00:00:00Z" };
    const answer = (conditions: readonly unknown[]) =>
      get(`${path}/a/status`, {
        method: "PATCH",
        body: { status: { conditions } },
        headers: { "content-type": "application/merge-patch+json" },
      });
    expect((await answer([denied])).status).toBe(200);
    expect((await answer([{ ...denied, type: "Failed" }])).body.message).toContain(
      "immutable after PodCertificateRequest is issued, denied, or failed",
    );
  });
});

describe("kinds that are off by default", () => {
  const group = "/apis/scheduling.k8s.io/v1alpha2/namespaces/default/podgroups?dryRun=All";
  const basic = { schedulingPolicy: { basic: {} } };
  const problemsOf = ({ body }: { readonly body: Body }): string[] =>
    (body.details?.causes ?? []).map(({ field, message }: { field: string; message: string }) => `${field}: ${message}`);

  it("have upstream's defaults, rules and unknown fields", async () => {
    const call = await start("--runtime-config=api/all=true", `${gates},GenericWorkload=true`);
    const made = await call(group, post({ metadata: { name: "g" }, spec: { ...basic, schedulingConstraints: {} } }));
    expect(made.body.spec).toEqual({ ...basic, podGroupTemplateRef: null, disruptionMode: "Pod" });
    expect(made.body.metadata.generation).toBeUndefined();
    expect(problemsOf(await call(group, post({ metadata: { name: "g" }, spec: { ...basic, podGroupTemplateRef: {} } })))).toEqual([
      'spec.podGroupTemplateRef: Invalid value: "": must specify one of: `workload`',
    ]);
    const strict = { metadata: { name: "g" }, spec: { schedulingPolicy: { basic: { a: 1 } } } };
    expect((await call(`${group}&fieldValidation=Strict`, post(strict))).body.message).toContain(
      'strict decoding error: unknown field "spec.schedulingPolicy.basic.a"',
    );

    const bindings = "/apis/admissionregistration.k8s.io/v1alpha1/mutatingadmissionpolicybindings?dryRun=All";
    const binding = await call(bindings, post({ metadata: { name: "b" }, spec: { policyName: "p", paramRef: { name: "x" } } }));
    expect(binding.body.spec.paramRef).toEqual({ name: "x", parameterNotFoundAction: "Deny" });

    const bundles = "/apis/certificates.k8s.io/v1beta1/clustertrustbundles?dryRun=All";
    const bundle = { metadata: { name: "a:b", labels: { "a b": "c" } }, spec: { trustBundle: authorityPem() } };
    expect(problemsOf(await call(bundles, post(bundle)))[0]).toContain("metadata.name: ");

    const requests = "/apis/certificates.k8s.io/v1beta1/namespaces/default/podcertificaterequests?dryRun=All";
    const request = { metadata: { name: "r" }, spec: { unverifiedUserAnnotations: { plain: "x", "Acme.io/foo": "y" } } };
    expect(problemsOf(await call(requests, post(request))).filter((text) => text.includes("Annotations"))).toEqual([
      'spec.unverifiedUserAnnotations: Invalid value: "plain": must be a domain-prefixed key (such as "acme.io/foo")',
    ]);

    const pools = "/apis/resource.k8s.io/v1alpha3/resourcepoolstatusrequests?dryRun=All";
    expect(problemsOf(await call(pools, post({ metadata: { name: "q" }, spec: { driver: "a:b" } })))[0]).toContain(
      "an RFC 1123 subdomain must consist of alphanumeric characters",
    );
  });
});

describe("updates of kinds that are off by default", () => {
  const merge = (body: unknown, more: CallOptions = {}): CallOptions => ({
    method: "PATCH",
    body,
    headers: { "content-type": "application/merge-patch+json" },
    ...more,
  });
  const problemsOf = ({ body }: { readonly body: Body }): string[] =>
    (body.details?.causes ?? []).map(({ field, message }: { field: string; message: string }) => `${field}: ${message}`);

  it("groups of pods keep what they are, and their gated fields only with the gates", async () => {
    const at = "/apis/scheduling.k8s.io/v1alpha2/namespaces/default/podgroups";
    const spec = { schedulingPolicy: { basic: {} }, disruptionMode: "PodGroup", schedulingConstraints: { topology: [{ key: "a/b" }] } };
    const group = { metadata: { name: "g" }, spec };
    const plain = await start("--runtime-config=scheduling.k8s.io/v1alpha2=true", "--feature-gates=GenericWorkload=true");
    const made = (await plain(at, post(group))).body;
    expect(made.spec).toEqual({ podGroupTemplateRef: null, schedulingPolicy: { basic: {} }, disruptionMode: "Pod" });
    expect(
      problemsOf(await plain(`${at}/g`, merge({ spec: { disruptionMode: "PodGroup", schedulingPolicy: { gang: { minCount: 1 } } } }))),
    ).toEqual(["spec.schedulingPolicy: Invalid value: null: field is immutable", "spec.disruptionMode: Forbidden"]);
    const statuses = { resourceClaimStatuses: [{ name: "a", resourceClaimName: "b" }] };
    expect((await plain(`${at}/g/status`, merge({ status: statuses }))).body.status).toEqual({});
  });

  it("with their gates on, groups of pods have a priority, a place and claims", async () => {
    const at = "/apis/scheduling.k8s.io/v1alpha2/namespaces/default/podgroups";
    const all = "GenericWorkload=true,TopologyAwareWorkloadScheduling=true,WorkloadAwarePreemption=true,DRAWorkloadResourceClaims=true";
    const get = await start("--runtime-config=scheduling.k8s.io/v1alpha2=true", `--feature-gates=${all}`);
    const schedulingConstraints = { topology: [{ key: "example.com/rack" }] };
    const resourceClaims = [{ name: "gpu", resourceClaimName: "c" }];
    const spec = { schedulingPolicy: { basic: {} }, schedulingConstraints, resourceClaims };
    const { body } = await get(at, post({ metadata: { name: "g" }, spec }));
    expect(body.spec).toEqual({ ...spec, podGroupTemplateRef: null, disruptionMode: "Pod", priority: 0 });
    const wrong = { ...spec, priority: 5 };
    expect((await get(at, post({ metadata: { name: "h" }, spec: wrong }))).body.message).toContain(
      "priority set in the pod group (5) must match the priority computed (0)",
    );
    const bad = { ...spec, schedulingConstraints: { topology: [{ key: "a" }, { key: "b" }] }, resourceClaims: [{ name: "x" }] };
    expect(problemsOf(await get(at, post({ metadata: { name: "h" }, spec: bad })))).toEqual([
      "spec.schedulingConstraints.topology: Too many: 2: must have at most 1 item",
      'spec.resourceClaims[0]: Invalid value: "": must specify one of: `resourceClaimName`, `resourceClaimTemplateName`',
    ]);
    const status = (name: string) =>
      get(`${at}/g/status`, merge({ status: { resourceClaimStatuses: [{ name, resourceClaimName: "c" }] } }));
    expect((await status("gpu")).status).toBe(200);
    expect(problemsOf(await status("other"))).toEqual([
      'status.resourceClaimStatuses[0].name: Invalid value: "other": must match the name of an entry in `spec.resourceClaims`',
    ]);
  });

  it("how many pods of a job run at once is fixed where its group is a gang", async () => {
    const get = await start("--runtime-config=scheduling.k8s.io/v1alpha2=true", "--feature-gates=GenericWorkload=true");
    const group = { metadata: { name: "g" }, spec: { schedulingPolicy: { gang: { minCount: 2 } } } };
    expect((await get("/apis/scheduling.k8s.io/v1alpha2/namespaces/default/podgroups", post(group))).status).toBe(201);
    const jobs = "/apis/batch/v1/namespaces/default/jobs";
    const job = (name: string, podGroupName: string) => ({
      metadata: { name },
      spec: {
        parallelism: 2,
        template: { spec: { restartPolicy: "Never", containers: [{ name: "c", image: "i" }], schedulingGroup: { podGroupName } } },
      },
    });
    const made = (await get(jobs, post(job("a", "g")))).body;
    expect(made.spec.template.spec.schedulingGroup).toEqual({ podGroupName: "g" });
    expect((await get(`${jobs}/a`, merge({ spec: { parallelism: 3 } }))).body.message).toBe(
      'jobs.batch "a" is forbidden: cannot change parallelism for a Job referencing gang-scheduled PodGroup "g"',
    );
    await get(jobs, post(job("b", "other")));
    expect((await get(`${jobs}/b`, merge({ spec: { parallelism: 3 } }))).status).toBe(200);
    expect(problemsOf(await get(jobs, post(job("c", "A"))))[0]).toContain("spec.template.spec.schedulingGroup.podGroupName: Invalid value");
  });

  it("storage versions are checked by name and status", async () => {
    const get = await start("--runtime-config=internal.apiserver.k8s.io/v1alpha1=true");
    const at = "/apis/internal.apiserver.k8s.io/v1alpha1/storageversions";
    expect(problemsOf(await get(at, post({ metadata: { name: "apps" } })))).toEqual([
      'metadata.name: Invalid value: "apps": name must be in the form of <group>.<resource>',
    ]);
    expect((await get(at, post({ metadata: { name: "apps.deployments" } }))).status).toBe(201);
    const server = { apiServerID: "a", encodingVersion: "apps/v1", decodableVersions: ["apps/v1"], servedVersions: ["apps/v2"] };
    const status = (more: object) => get(`${at}/apps.deployments/status`, merge({ status: { storageVersions: [server], ...more } }));
    expect(problemsOf(await status({}))).toEqual([
      'status.storageVersions[0].servedVersions[0]: Invalid value: "apps/v2": individual served version : apps/v2 must be included in decodableVersions : [apps/v1]',
      "status.commonEncodingVersion: Invalid value: null: the common encoding version is apps/v1",
    ]);
    const fine = { storageVersions: [{ ...server, servedVersions: ["apps/v1"] }], commonEncodingVersion: "apps/v1" };
    expect((await status(fine)).status).toBe(200);
  });

  it("a taint holds since its effect was set, and is owned with its time", async () => {
    const get = await start("--runtime-config=resource.k8s.io/v1beta2=true");
    const at = "/apis/resource.k8s.io/v1beta2/devicetaintrules";
    const timeAdded = "2024-01-01T00:00:00Z";
    const rule = (taint: object) => ({ metadata: { name: "r" }, spec: { taint: { key: "a", effect: "NoSchedule", ...taint } } });
    const made = (await get(`${at}?dryRun=All`, post(rule({})))).body;
    expect(made.metadata.managedFields[0].fieldsV1["f:spec"]["f:taint"]).toHaveProperty("f:timeAdded");
    await get(at, post(rule({ timeAdded })));
    const changed = (await get(`${at}/r`, merge({ spec: { taint: { effect: "NoExecute" } } }))).body;
    expect([changed.spec.taint.timeAdded === timeAdded, changed.metadata.generation]).toEqual([false, 2]);
    const conditions = Array.from({ length: 9 }, (_, i) => ({
      ...{ type: `T${i}`, status: "True", reason: "R", message: "", lastTransitionTime: timeAdded },
    }));
    expect(problemsOf(await get(`${at}/r/status`, merge({ status: { conditions } })))).toEqual([
      "status.conditions: Too many: 9: must have at most 8 items",
    ]);
  });

  it("what was asked of pools stays, and so does the answer", async () => {
    const get = await start("--runtime-config=resource.k8s.io/v1alpha3=true");
    const at = "/apis/resource.k8s.io/v1alpha3/resourcepoolstatusrequests";
    await get(at, post({ metadata: { name: "a" }, spec: { driver: "d.example" } }));
    expect(problemsOf(await get(`${at}/a`, merge({ spec: { limit: 0 } })))).toEqual(["spec: Invalid value: null: field is immutable"]);
    const pool = { driver: "d.example", poolName: "p", generation: 1, resourceSliceCount: 0 };
    const answer = (status: object) => get(`${at}/a/status`, merge({ status }));
    expect(problemsOf(await answer({ pools: [pool] }))).toEqual([
      "status.poolCount: Required value",
      "status.pools[0].resourceSliceCount: Invalid value: 0: must be greater than or equal to 1",
    ]);
    expect((await answer({ poolCount: 1 })).status).toBe(200);
    expect(problemsOf(await answer({ poolCount: 2 }))[0]).toContain('status: Invalid value: {"PoolCount":2,');
  });

  it("requests for certificates of pods have a default, and only signers answer them", async () => {
    const tokens = await fixture.file("tokens", 'T,admin,admin,"system:masters"\nU,user,user,"writers"\n');
    const server = await fixture.start(`--token-auth-file=${tokens}`, "--runtime-config=api/beta=true", gates);
    const as = async (token: string, path: string, options: CallOptions = {}) => {
      const reply = await call(server, path, { token, ...options });
      return { ...reply, body: (reply.text.startsWith("{") ? JSON.parse(reply.text) : {}) as Body };
    };
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    const request = createSigningRequest({ commonName: "", organizations: [] }, { privateKey, publicKey });
    const at = "/apis/certificates.k8s.io/v1beta1/namespaces/default/podcertificaterequests";
    const spec = {
      ...{ signerName: "example.com/pods", podName: "p", podUID: "1", serviceAccountName: "s", serviceAccountUID: "2" },
      ...{ nodeName: "n", nodeUID: "3", stubPKCS10Request: request.replace(/-----[^-]+-----|\s/g, "") },
    };
    expect((await as("T", at, post({ metadata: { name: "a" }, spec }))).body.spec.maxExpirationSeconds).toBe(86_400);
    const rules = [{ apiGroups: ["certificates.k8s.io"], resources: ["podcertificaterequests/status"], verbs: ["patch"] }];
    const rbac = "/apis/rbac.authorization.k8s.io/v1";
    await as("T", `${rbac}/clusterroles`, post({ metadata: { name: "writers" }, rules }));
    await as(
      "T",
      `${rbac}/clusterrolebindings`,
      post({
        metadata: { name: "writers" },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "writers" },
        subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "Group", name: "writers" }],
      }),
    );
    const denied = { type: "Denied", status: "True", reason: "No", message: "", lastTransitionTime: "2026-01-01T00:00:00Z" };
    const status = merge({ status: { conditions: [denied] } });
    await expect
      .poll(async () => problemsOf(await as("U", `${at}/a/status`, status)), { timeout: 60_000 })
      .toEqual(['spec.signerName: Forbidden: User "user" is not permitted to "sign" for signer "example.com/pods"']);
    expect((await as("T", `${at}/a/status`, status)).status).toBe(200);
    expect((await as("T", `${at}?fieldSelector=metadata.namespace%3Ddefault`)).body.message).toBe(
      "field label not supported: metadata.namespace",
    );
  });

  it("a claim of v1beta1 always has a class, and no defaults without one", async () => {
    const get = await start("--runtime-config=resource.k8s.io/v1beta1=true");
    const at = "/apis/resource.k8s.io/v1beta1/namespaces/default/resourceclaims?dryRun=All";
    const claim = (request: object) => post({ metadata: { name: "a" }, spec: { devices: { requests: [{ name: "r", ...request }] } } });
    const alternatives = (await get(at, claim({ firstAvailable: [{ name: "x", deviceClassName: "c" }] }))).body;
    expect(alternatives.spec.devices.requests[0].deviceClassName).toBe("");
    expect(problemsOf(await get(at, claim({ count: 1 })))).toEqual([
      "spec.devices.requests[0].exactly.deviceClassName: Required value",
      'spec.devices.requests[0].exactly.allocationMode: Unsupported value: "": supported values: "All", "ExactCount"',
    ]);
    const admin = await get(at, claim({ deviceClassName: "c", adminAccess: true }));
    expect(admin.body.message).toContain("spec.devices.requests[0].adminAccess: Forbidden");
    const more = await get(at, claim({ name: "B", deviceClassName: "c", adminAccess: true }));
    expect(problemsOf(more).map((text) => text.split(": ")[0])).toEqual([
      "spec.devices.requests[0].adminAccess",
      "spec.devices.requests[0].name",
    ]);
  });

  it("fields of types that have none are owned as any JSON is", async () => {
    const get = await start("--runtime-config=internal.apiserver.k8s.io/v1alpha1=true");
    const path = "/apis/internal.apiserver.k8s.io/v1alpha1/storageversions/a.b?fieldManager=m";
    const applied = await get(path, {
      method: "PATCH",
      body: { apiVersion: "internal.apiserver.k8s.io/v1alpha1", kind: "StorageVersion", metadata: { name: "a.b" }, spec: { x: 1 } },
      headers: { "content-type": "application/apply-patch+yaml" },
    });
    expect([applied.body.spec, applied.body.metadata.managedFields[0].fieldsV1]).toEqual([{}, { "f:spec": { "f:x": {} } }]);
  });

  it("a bundle's name is looked at again when its signer changes", async () => {
    const get = await start("--runtime-config=api/beta=true", gates);
    const at = "/apis/certificates.k8s.io/v1beta1/clustertrustbundles";
    const bundle = { metadata: { name: "example.com:ca:a" }, spec: { signerName: "example.com/ca", trustBundle: authorityPem() } };
    expect((await get(at, post(bundle))).status).toBe(201);
    expect(problemsOf(await get(`${at}/example.com:ca:a`, merge({ spec: { signerName: null } })))).toEqual([
      'metadata.name: Invalid value: "example.com:ca:a": ClusterTrustBundle without signer name must not have ":" in its name',
      'spec.signerName: Invalid value: "": field is immutable',
    ]);
  });
});

describe("a definition that is being deleted", () => {
  it("is listed without what is refused, and its resource's document without anything once it is gone", async () => {
    const get = await start();
    const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    const schema = { openAPIV3Schema: { type: "object" } };
    const created = await get(
      definitions,
      post({
        apiVersion: "apiextensions.k8s.io/v1",
        kind: "CustomResourceDefinition",
        metadata: { name: "widgets.example.com" },
        spec: {
          group: "example.com",
          scope: "Cluster",
          names: { plural: "widgets", kind: "Widget" },
          versions: [{ name: "v1", served: true, storage: true, schema }],
        },
      }),
    );
    expect(created.status).toBe(201);
    const verbs = async (): Promise<string[] | undefined> => (await get("/apis/example.com/v1")).body.resources?.[0]?.verbs;
    const lasting = ["delete", "deletecollection", "get", "list", "watch"];
    await expect.poll(verbs).toEqual(["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]);
    const widget = { apiVersion: "example.com/v1", kind: "Widget", metadata: { name: "w", finalizers: ["example.com/wait"] } };
    await get("/apis/example.com/v1/widgets", post(widget));
    await get(`${definitions}/widgets.example.com`, { method: "DELETE" });
    await expect.poll(verbs).toEqual(lasting);
    const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    const { items } = (await get("/apis", { headers: { accept } })).body;
    expect(items.find((group: Body) => group.metadata.name === "example.com").versions[0].resources[0].verbs).toEqual(lasting);
    const headers = { "content-type": "application/merge-patch+json" };
    await get("/apis/example.com/v1/widgets/w", { method: "PATCH", body: { metadata: { finalizers: null } }, headers });
    await expect.poll(async () => (await get("/apis/example.com/v1")).status).toBe(404);
  });
});

describe("shards of lists and watches", () => {
  const half = "0x8000000000000000";
  const shards = (field: string): string[] => [
    `shardRange(object.metadata.${field}, '0x0000000000000000', '${half}')`,
    `shardRange(object.metadata.${field}, '${half}', '0x10000000000000000')`,
  ];
  const configMap = (name: string): CallOptions => post({ apiVersion: "v1", kind: "ConfigMap", metadata: { name } });
  const query = (selector: string): string => `shardSelector=${encodeURIComponent(selector)}`;
  const namesOf = (items: readonly Body[]): string[] => items.map(({ metadata }) => metadata.name);

  it("have each object in one of them, and say which they are", async () => {
    const get = await start("--feature-gates=ShardedListAndWatch=true", "--storage=memory");
    const path = "/api/v1/namespaces/default/configmaps";
    const names = Array.from({ length: 20 }, (_, i) => `c${String(i).padStart(2, "0")}`);
    for (const name of names) await get(path, configMap(name));
    const lists = [];
    for (const shard of shards("uid")) lists.push((await get(`${path}?${query(shard)}&limit=0`)).body);
    expect(lists.map(({ metadata }) => metadata.shardInfo.selector)).toEqual(shards("uid"));
    const found = lists.map(({ items }) => namesOf(items).filter((name) => names.includes(name)));
    expect(found.flat().sort()).toEqual(names);
    expect(found.every(({ length }) => length > 0)).toBe(true);
    // In pages, and as a watch that begins with what is there.
    const [first = ""] = shards("uid");
    const paged: Body[] = [];
    for (let token = ""; ; ) {
      const page = (await get(`${path}?${query(first)}&limit=3&continue=${encodeURIComponent(token)}`)).body;
      paged.push(...page.items);
      token = page.metadata.continue ?? "";
      if (token === "") break;
    }
    expect(namesOf(paged).filter((name) => names.includes(name))).toEqual(found[0]);
    const watched = (await get(`${path}?watch=true&timeoutSeconds=1&${query(first)}`)).text.trim().split("\n");
    expect(namesOf(watched.map((line) => JSON.parse(line).object)).filter((name) => names.includes(name))).toEqual(found[0]);
    // A table is another object, which has no such field.
    const table = await get(`${path}?${query(first)}`, { headers: { accept: "application/json;as=Table;v=v1;g=meta.k8s.io" } });
    expect(table.body.metadata.shardInfo).toBeUndefined();
    // Of what is deleted together, too.
    await get(`${path}?${query(first)}`, { method: "DELETE" });
    expect(namesOf((await get(path)).body.items).filter((name) => names.includes(name))).toEqual(found[1]);
  });

  it("go by namespaces as well", async () => {
    const get = await start("--feature-gates=ShardedListAndWatch=true", "--storage=memory");
    const spaces = ["one", "two", "three", "four", "five", "six"];
    for (const name of spaces) {
      await get("/api/v1/namespaces", post({ apiVersion: "v1", kind: "Namespace", metadata: { name } }));
      await get(`/api/v1/namespaces/${name}/configmaps`, configMap("shared"));
    }
    const seen = [];
    for (const shard of shards("namespace")) seen.push((await get(`/api/v1/configmaps?${query(shard)}`)).body.items);
    const where = seen.map((items) =>
      items.filter(({ metadata }: Body) => metadata.name === "shared").map((o: Body) => o.metadata.namespace),
    );
    expect(where.flat().sort()).toEqual([...spaces].sort());
    expect(where.every(({ length }) => length > 0)).toBe(true);
    const refused = await get("/api/v1/configmaps?shardSelector=true");
    expect([refused.status, refused.body.message]).toEqual([
      500,
      "invalid shard selector: unexpected expression kind 5; expected shardRange() call or || operator",
    ]);
  });

  it("are everything while the gate is off", async () => {
    const get = await start("--storage=memory");
    const { metadata, items } = (await get(`/api/v1/namespaces?${query(shards("uid")[0] ?? "")}`)).body;
    expect([metadata.shardInfo, namesOf(items)]).toEqual([undefined, namesOf((await get("/api/v1/namespaces")).body.items)]);
  });
});
