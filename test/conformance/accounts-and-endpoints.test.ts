// Service accounts, who may do what, signing requests, events, and what the control plane writes about services and their endpoints, as
// upstream's conformance tests see them: in a whole cluster with simulated containers, on virtual time.
import { describe, expect, test } from "vitest";
import { isStatus } from "../../src/api/meta/status-error.ts";
import {
  certificatesigningrequests,
  configmaps,
  endpointslices,
  endpoints as endpointsType,
  events,
  namespaces,
  nodes,
  pods,
  secrets,
  serviceaccounts,
  services,
} from "../../src/api/resources.generated.ts";
import type { TokenRequest, TokenReview } from "../../src/api/types/authentication-v1.ts";
import type { SubjectAccessReview } from "../../src/api/types/authorization-v1.ts";
import type { Service } from "../../src/api/types/core-v1.ts";
import { generateKey } from "../../src/base/x509/certificate.ts";
import { createSigningRequest } from "../../src/base/x509/signing-request.ts";
import { conformanceCluster } from "./conformance-cluster.ts";
import { container, namesSeen, podsOf, readyPods, watching } from "./workloads.ts";

const cluster = conformanceCluster();

const post = <T>(path: string, body: object): Promise<T> => cluster.client.raw("POST", path, { body }) as Promise<T>;

describe("service accounts", () => {
  test("are created, patched, updated, listed everywhere, watched and deleted", async () => {
    const namespace = await cluster.namespace("accounts");
    const at = { namespace, name: "builder" };
    const watch = await watching(cluster, serviceaccounts, { namespace, labelSelector: "kind=static" });
    await cluster.client.create(serviceaccounts, { metadata: { ...at, labels: { kind: "static" } } });
    await cluster.client.patch(serviceaccounts, at, { automountServiceAccountToken: false }, { type: "strategic" });
    const { items } = await cluster.client.list(serviceaccounts, { labelSelector: "kind=static" });
    expect(items.map(({ automountServiceAccountToken }) => automountServiceAccountToken)).toEqual([false]);
    const updated = await cluster.client.update(serviceaccounts, {
      ...(items[0] as (typeof items)[number]),
      automountServiceAccountToken: true,
    });
    expect(updated.automountServiceAccountToken).toBe(true);
    await cluster.client.deleteCollection(serviceaccounts, { namespace, labelSelector: "kind=static" });
    await cluster.until("the watch has seen the end", async () => namesSeen(watch.events, "DELETED").length === 1);
    watch.stop();
    expect(namesSeen(watch.events, "ADDED")).toEqual(["builder"]);
  });

  test("their tokens are theirs, as a review says, until the account is gone", async () => {
    const namespace = await cluster.namespace("tokens");
    const at = { namespace, name: "caller" };
    await cluster.client.create(serviceaccounts, { metadata: at });
    const request = await cluster.client.createSubresource<TokenRequest>(serviceaccounts, { ...at, subresource: "token" }, { spec: {} });
    const token = request.status?.token ?? "";
    expect(token.split(".")).toHaveLength(3);
    const review = () =>
      post<TokenReview>("/apis/authentication.k8s.io/v1/tokenreviews", {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenReview",
        spec: { token },
      });
    const { status } = await review();
    expect(status).toMatchObject({ authenticated: true, user: { username: `system:serviceaccount:${namespace}:caller` } });
    expect(status?.error).toBeUndefined();
    await cluster.client.delete(serviceaccounts, at);
    expect((await review()).status?.authenticated ?? false).toBe(false);
    expect(await cluster.client.raw("GET", "/.well-known/openid-configuration")).toMatchObject({
      issuer: expect.any(String),
      jwks_uri: expect.any(String),
    });
    const keys = (await cluster.client.raw("GET", "/openid/v1/jwks")) as string; // of a media type of its own
    expect(JSON.parse(keys)).toMatchObject({ keys: [expect.objectContaining({ use: "sig" })] });
  });

  test.for([
    [undefined, undefined, true],
    [undefined, true, true],
    [undefined, false, false],
    [true, undefined, true],
    [true, true, true],
    [true, false, true],
    [false, undefined, false],
    [false, true, false],
    [false, false, false],
  ] as const)("a pod that says %s, of an account that says %s: token mounted is %s", async ([ofPod, ofAccount, isMounted]) => {
    const namespace = await cluster.namespace(`automount-${ofPod}-${ofAccount}`);
    const account = ofAccount === undefined ? {} : { automountServiceAccountToken: ofAccount };
    await cluster.client.create(serviceaccounts, { metadata: { namespace, name: "own" }, ...account });
    const spec = {
      serviceAccountName: "own",
      containers: [container()],
      ...(ofPod === undefined ? {} : { automountServiceAccountToken: ofPod }),
    };
    const pod = await cluster.client.create(pods, { metadata: { namespace, name: "p" }, spec });
    const paths = pod.spec.containers[0]?.volumeMounts?.map(({ mountPath }) => mountPath) ?? [];
    expect(paths).toEqual(isMounted ? ["/var/run/secrets/kubernetes.io/serviceaccount"] : []);
    const sources = (pod.spec.volumes ?? []).flatMap(({ projected }) => projected?.sources ?? []).map((source) => Object.keys(source)[0]);
    expect(sources).toEqual(isMounted ? ["serviceAccountToken", "configMap", "downwardAPI"] : []);
  });

  test("every namespace has kube-root-ca.crt, again when it was deleted or changed", async () => {
    const at = { namespace: await cluster.namespace("root-ca"), name: "kube-root-ca.crt" };
    const { caPem } = await cluster.connection();
    const untilRight = (what: string) =>
      cluster.until(what, async () => (await cluster.client.get(configmaps, at)).data?.["ca.crt"] === caPem);
    await untilRight("it is published");
    await cluster.client.delete(configmaps, at);
    await untilRight("it is back");
    await cluster.client.patch(configmaps, at, { data: { "ca.crt": "" } }, { type: "merge" });
    await untilRight("it is right again");
  });

  test("reviews of subjects tell what they may do, and so does acting as one", async () => {
    const namespace = await cluster.namespace("subjects");
    await cluster.client.create(serviceaccounts, { metadata: { namespace, name: "reader" } });
    const user = `system:serviceaccount:${namespace}:reader`;
    const attributes = { verb: "list", resource: "configmaps", namespace, version: "v1" };
    const review = async (kind: "SubjectAccessReview" | "LocalSubjectAccessReview") => {
      const [resource, inNamespace] =
        kind === "SubjectAccessReview" ? ["subjectaccessreviews", ""] : ["localsubjectaccessreviews", `/namespaces/${namespace}`];
      const body = {
        apiVersion: "authorization.k8s.io/v1",
        kind,
        metadata: inNamespace ? { namespace } : {},
        spec: { user, resourceAttributes: attributes },
      };
      return (await post<SubjectAccessReview>(`/apis/authorization.k8s.io/v1${inNamespace}/${resource}`, body)).status?.allowed;
    };
    const asReader = cluster.clientFor(user, ["system:serviceaccounts", `system:serviceaccounts:${namespace}`]);
    const lists = () =>
      asReader.list(configmaps, { namespace }).then(
        () => true,
        (error: unknown) => !isStatus(error, "Forbidden"),
      );
    expect([await review("SubjectAccessReview"), await review("LocalSubjectAccessReview"), await lists()]).toEqual([false, false, false]);
    const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
    await post(`${rbac}/rolebindings`, {
      ...{ apiVersion: "rbac.authorization.k8s.io/v1", kind: "RoleBinding", metadata: { name: "view", namespace } },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "view" },
      subjects: [{ kind: "ServiceAccount", name: "reader", namespace }],
    });
    expect([await review("SubjectAccessReview"), await review("LocalSubjectAccessReview"), await lists()]).toEqual([true, true, true]);
  });

  test("a signing request for a client is approved, signed by the cluster's authority, and its status and approval are read", async () => {
    const request = createSigningRequest({ commonName: "conformance", organizations: ["testers"] }, generateKey());
    const spec = {
      request: Buffer.from(request).toString("base64"),
      signerName: "kubernetes.io/kube-apiserver-client",
      usages: ["client auth" as const],
    };
    const made = await cluster.client.create(certificatesigningrequests, { metadata: { name: "conformance" }, spec });
    const path = "/apis/certificates.k8s.io/v1/certificatesigningrequests/conformance";
    expect(await cluster.client.raw("GET", `${path}/approval`)).toMatchObject({ metadata: { uid: made.metadata.uid } });
    const condition = { type: "Approved", status: "True", reason: "E2E", message: "by a test" };
    await cluster.client.raw("PUT", `${path}/approval`, { body: { ...made, status: { conditions: [condition] } } });
    const signed = await cluster.until("it is signed", async () => {
      const found = await cluster.client.get(certificatesigningrequests, { name: "conformance" });
      return found.status?.certificate !== undefined && found;
    });
    expect(Buffer.from(signed.status?.certificate ?? "", "base64").toString()).toMatch(/^-----BEGIN CERTIFICATE-----/);
    expect(signed.status?.conditions).toEqual([expect.objectContaining(condition)]);
  });
});

describe("events", () => {
  test("written by one API are read, patched, given a series and deleted by the other", async () => {
    const namespace = await cluster.namespace("events");
    const involvedObject = { kind: "Pod", namespace, name: "seen" };
    await cluster.client.create(events, {
      metadata: { name: "core", namespace, labels: { testevent: "yes" } },
      ...{ message: "first", reason: "Test", type: "Normal", involvedObject, source: { component: "tester" } },
      ...{ firstTimestamp: "2026-01-01T00:00:00Z", lastTimestamp: "2026-01-01T00:00:00Z", count: 1 },
    });
    const path = `/apis/events.k8s.io/v1/namespaces/${namespace}/events`;
    await post(path, {
      ...{ apiVersion: "events.k8s.io/v1", kind: "Event", metadata: { name: "new", namespace, labels: { testevent: "yes" } } },
      ...{
        eventTime: "2026-01-01T00:00:00.000000Z",
        reportingController: "tester",
        reportingInstance: "tester-1",
        action: "Do",
        reason: "Test",
      },
      ...{ type: "Normal", note: "first", regarding: involvedObject },
    });
    expect(await cluster.client.raw("GET", `${path}/core`)).toMatchObject({ note: "first", regarding: { name: "seen" } });
    const patched = await cluster.client.patch(events, { namespace, name: "core" }, { message: "patched" }, { type: "strategic" });
    expect(patched.message).toBe("patched");
    const series = { count: 2, lastObservedTime: "2026-01-01T00:01:00.000000Z" };
    const patch = { body: { series }, contentType: "application/strategic-merge-patch+json" };
    expect(await cluster.client.raw("PATCH", `${path}/new`, patch)).toMatchObject({ note: "first", series });
    const core = await cluster.client.get(events, { namespace, name: "new" });
    expect(core).toMatchObject({ message: "first", series });
    const later = { ...series, count: 100 };
    expect(await cluster.client.update(events, { ...core, series: later })).toMatchObject({ series: later });
    const all = async () => (await cluster.client.list(events, { labelSelector: "testevent=yes" })).items;
    expect(await all()).toHaveLength(2);
    await cluster.client.delete(events, { namespace, name: "core" });
    expect((await all()).map(({ metadata }) => metadata.name)).toEqual(["new"]);
    await cluster.client.deleteCollection(events, { namespace, labelSelector: "testevent=yes" });
    expect(await all()).toEqual([]);
  });
});

describe("services", () => {
  const labels = { app: "served" };
  const slicesOf = async (namespace: string, service: string) =>
    (await cluster.client.list(endpointslices, { namespace, labelSelector: `kubernetes.io/service-name=${service}` })).items;
  const service = (namespace: string, name: string, spec: Partial<NonNullable<Service["spec"]>> = {}) =>
    cluster.client.create(services, {
      metadata: { name, namespace, labels },
      spec: { selector: labels, ports: [{ name: "http", port: 80, targetPort: 8080 }], ...spec },
    });

  test("the API server is one, with endpoints and slices that point at it, and there are untainted nodes", async () => {
    const at = { namespace: "default", name: "kubernetes" };
    const { spec } = await cluster.client.get(services, at);
    expect(spec?.ports).toEqual([expect.objectContaining({ name: "https", port: 443, protocol: "TCP" })]);
    const { items: everywhere } = await cluster.client.list(services);
    expect(everywhere.some(({ metadata }) => metadata.namespace === "default" && metadata.name === "kubernetes")).toBe(true);
    const taken = (await cluster.client.list(nodes)).items;
    expect(taken.filter(({ spec }) => (spec.taints ?? []).length === 0 && !spec.unschedulable)).toHaveLength(2);
  });

  test("endpoints and slices follow the pods that match, with several services and ports; nobody matches: they are empty", async () => {
    const namespace = await cluster.namespace("endpoints");
    await service(namespace, "none", { selector: { app: "nobody" } });
    const at = { namespace, name: "none" };
    await cluster.until("empty endpoints", async () => ((await cluster.client.get(endpointsType, at)).subsets ?? []).length === 0);
    await cluster.until("a slice without endpoints", async () => {
      const slices = await slicesOf(namespace, "none");
      return slices.length === 1 && (slices[0]?.endpoints ?? []).length === 0;
    });
    const ports = [
      { name: "http", port: 80, targetPort: 8080 },
      { name: "dns", port: 53, targetPort: 5353, protocol: "UDP" as const },
    ];
    await service(namespace, "one", { selector: { ...labels, pod: "one" } });
    await service(namespace, "two", { ports });
    for (const pod of ["one", "two"])
      await cluster.client.create(pods, {
        metadata: { name: pod, namespace, labels: { ...labels, pod } },
        spec: { containers: [container()] },
      });
    const found = await readyPods(cluster, namespace, { count: 2 });
    const addresses = found.map(({ status }) => status?.podIP).sort();
    const seen = async (name: string) =>
      (await slicesOf(namespace, name)).flatMap(({ endpoints }) => (endpoints ?? []).flatMap((each) => each.addresses)).sort();
    await cluster.until("slices of both", async () => (await seen("one")).length === 1 && (await seen("two")).length === 2);
    expect(await seen("two")).toEqual(addresses);
    const [slice] = await slicesOf(namespace, "two");
    expect(slice?.ports?.map(({ name, port, protocol }) => `${name} ${port} ${protocol}`).sort()).toEqual([
      "dns 5353 UDP",
      "http 8080 TCP",
    ]);
    expect(slice?.endpoints?.map(({ targetRef }) => targetRef?.name).sort()).toEqual(["one", "two"]);
    const ofEndpoints = (await cluster.client.get(endpointsType, { namespace, name: "two" })).subsets?.flatMap(({ addresses = [] }) =>
      addresses.map(({ ip }) => ip),
    );
    expect(ofEndpoints?.sort()).toEqual(addresses);
    await cluster.client.delete(services, { namespace, name: "two" });
    await cluster.until("slices and endpoints are gone", async () => {
      const left = (await cluster.client.list(endpointsType, { namespace })).items.map(({ metadata }) => metadata.name);
      return (await slicesOf(namespace, "two")).length === 0 && !left.includes("two");
    });
  });

  test("endpoints that somebody writes for a service without a selector are mirrored, changed and deleted with them", async () => {
    const namespace = await cluster.namespace("mirrored");
    const at = { namespace, name: "custom" };
    await cluster.client.create(services, { metadata: at, spec: { ports: [{ name: "example", port: 80 }] } });
    const subsets = (ip: string, port: number) => [{ addresses: [{ ip }], ports: [{ name: "example", port, protocol: "TCP" as const }] }];
    await cluster.client.create(endpointsType, { metadata: at, subsets: subsets("10.1.2.3", 80) });
    const mirror = async () =>
      (await slicesOf(namespace, "custom")).map(({ endpoints, ports }) => `${endpoints?.[0]?.addresses[0]}:${ports?.[0]?.port}`);
    await cluster.until("the mirror", async () => String(await mirror()) === "10.1.2.3:80");
    await cluster.client.patch(endpointsType, at, { subsets: subsets("10.2.3.4", 9090) }, { type: "merge" });
    await cluster.until("the changed mirror", async () => String(await mirror()) === "10.2.3.4:9090");
    await cluster.client.delete(endpointsType, at);
    await cluster.until("no mirror", async () => (await mirror()).length === 0);
  });

  test("change their type to and from ExternalName, and give addresses and ports back", async () => {
    const namespace = await cluster.namespace("types");
    const at = { namespace, name: "changing" };
    const change = (spec: object) => cluster.client.patch(services, at, { spec }, { type: "merge" });
    await service(namespace, "changing", { type: "NodePort" });
    const before = await cluster.client.get(services, at);
    expect(before.spec).toMatchObject({ clusterIP: expect.stringMatching(/^10\./), ports: [{ nodePort: expect.any(Number) }] });
    const { spec: external } = await change({
      type: "ExternalName",
      externalName: "foo.example.com",
      selector: null,
      ports: null,
      clusterIP: null,
      clusterIPs: null,
    });
    expect(external).toMatchObject({ type: "ExternalName", externalName: "foo.example.com" });
    expect(external).not.toHaveProperty("clusterIP");
    // What it had may be had by others.
    const { clusterIP = "", ports = [] } = before.spec ?? {};
    await service(namespace, "heir", { type: "NodePort", clusterIP, ports });
    const { spec: inside } = await change({ type: "ClusterIP", externalName: null, ports: [{ port: 80 }], selector: labels });
    expect(inside?.clusterIP).toMatch(/^10\./);
    expect(inside?.clusterIP).not.toBe(clusterIP);
    await change({ type: "ExternalName", externalName: "bar.example.com", ports: null, clusterIP: null, clusterIPs: null });
    const { spec: outside } = await change({ type: "NodePort", externalName: null, ports: [{ port: 80 }], selector: labels });
    expect(outside?.ports?.[0]?.nodePort).toBeGreaterThanOrEqual(30_000);
    await expect(service(namespace, "thief", { clusterIP })).rejects.toSatisfy((error) => isStatus(error, "Invalid"));
  });

  test("their status is written and patched, and they are deleted as a collection", async () => {
    const namespace = await cluster.namespace("service-life");
    for (const name of ["a", "b"]) await service(namespace, name, { type: "LoadBalancer" });
    await cluster.client.create(services, { metadata: { name: "kept", namespace }, spec: { ports: [{ port: 80 }] } });
    const at = { namespace, name: "a" };
    const loadBalancer = { ingress: [{ ip: "203.0.113.1" }] };
    const patched = await cluster.client.patch(
      services,
      at,
      { metadata: { annotations: { patched: "yes" } }, status: { loadBalancer } },
      { type: "merge", subresource: "status" },
    );
    expect(patched).toMatchObject({ metadata: { annotations: { patched: "yes" } } });
    const condition = {
      type: "StatusUpdate",
      status: "True" as const,
      reason: "E2E",
      message: "by a test",
      lastTransitionTime: "2026-01-01T00:00:00Z",
    };
    const written = await cluster.client.updateStatus(services, { ...patched, status: { ...patched.status, conditions: [condition] } });
    expect(written.status?.conditions).toEqual([condition]);
    const read = await cluster.client.getSubresource<Service>(services, { ...at, subresource: "status" });
    expect(read.status?.conditions).toEqual([condition]);
    await cluster.client.deleteCollection(services, { namespace, labelSelector: "app=served" });
    expect((await cluster.client.list(services, { namespace })).items.map(({ metadata }) => metadata.name)).toEqual(["kept"]);
  });

  test("have endpoints soon after they are made", async () => {
    const namespace = await cluster.namespace("latency");
    await cluster.client.create(pods, { metadata: { name: "pod", namespace, labels }, spec: { containers: [container()] } });
    await readyPods(cluster, namespace, { count: 1 });
    const startedMs = cluster.clock.now();
    for (let i = 0; i < 100; i++) await service(namespace, `svc-${i}`);
    await cluster.until("endpoints of all", async () => {
      const { items } = await cluster.client.list(endpointsType, { namespace });
      return items.filter(({ subsets }) => (subsets ?? []).length > 0).length === 100;
    });
    expect(cluster.clock.now() - startedMs).toBeLessThan(20_000);
    await cluster.client.delete(namespaces, { name: namespace });
    await cluster.until("nothing is left", async () => (await podsOf(cluster, namespace)).length === 0);
    expect((await cluster.client.list(secrets, { namespace })).items).toEqual([]);
  });
});
