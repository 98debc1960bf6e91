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
    return { ...reply, body: (reply.text.startsWith("{") ? JSON.parse(reply.text) : {}) as Body };
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
