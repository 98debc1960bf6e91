// The official JavaScript client, as its users have it, against the command: objects of several kinds, lists, watches with an
// informer, patches of each sort, server-side apply, and the errors it makes of a Status.
import { join } from "node:path";
import {
  ApiException,
  AppsV1Api,
  CoreV1Api,
  KubeConfig,
  type KubernetesObject,
  KubernetesObjectApi,
  makeInformer,
  PatchStrategy,
  setHeaderOptions,
  type V1ConfigMap,
  type V1Deployment,
  VersionApi,
  Watch,
} from "@kubernetes/client-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ApiServerProcess, startApiServerProcess } from "../support/apiserver-process.ts";
import { until } from "../support/processes.ts";

const namespace = "default";
const config = new KubeConfig();
let server: ApiServerProcess;
let core: CoreV1Api;
let apps: AppsV1Api;

beforeAll(async () => {
  server = await startApiServerProcess();
  config.loadFromFile(join(server.dataDir, "admin.kubeconfig"));
  core = config.makeApiClient(CoreV1Api);
  apps = config.makeApiClient(AppsV1Api);
  await until("the namespace default is there", async () => (await core.readNamespace({ name: namespace })).status?.phase === "Active");
});
afterAll(() => server.stop());

const deployment = (name: string): V1Deployment => ({
  metadata: { name, labels: { app: name } },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: "c", image: "c:1" }] } },
  },
});

test("creates, reads, lists, replaces and deletes, with defaults and times in their types", async () => {
  expect((await config.makeApiClient(VersionApi).getCode()).gitVersion).toMatch(/^v1\.36/);
  const made = await apps.createNamespacedDeployment({ namespace, body: deployment("web") });
  expect(made.metadata?.creationTimestamp).toBeInstanceOf(Date);
  expect(made.spec?.strategy?.type).toBe("RollingUpdate");
  const read = await apps.readNamespacedDeployment({ namespace, name: "web" });
  expect(read).toEqual(made);
  const replaced = await apps.replaceNamespacedDeployment({
    namespace,
    name: "web",
    body: { ...read, spec: { ...deployment("web").spec, replicas: 3 } as never },
  });
  expect([replaced.spec?.replicas, replaced.metadata?.generation]).toEqual([3, 2]);
  const { items } = await apps.listNamespacedDeployment({ namespace, labelSelector: "app=web", limit: 5 });
  expect(items.map(({ metadata }) => metadata?.name)).toEqual(["web"]);
  expect((await apps.readNamespacedDeploymentScale({ namespace, name: "web" })).spec?.replicas).toBe(3);
  await apps.deleteNamespacedDeployment({ namespace, name: "web" });
  expect((await apps.listNamespacedDeployment({ namespace })).items).toEqual([]);
});

test("patches in each way, and applies with conflicts between managers", async () => {
  await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: "patched" }, data: { a: "1" } } });
  const patch = async (body: unknown, strategy: (typeof PatchStrategy)[keyof typeof PatchStrategy]): Promise<V1ConfigMap> =>
    core.patchNamespacedConfigMap({ namespace, name: "patched", body }, setHeaderOptions("Content-Type", strategy));
  expect((await patch([{ op: "add", path: "/data/b", value: "2" }], PatchStrategy.JsonPatch)).data).toEqual({ a: "1", b: "2" });
  expect((await patch({ data: { a: null } }, PatchStrategy.MergePatch)).data).toEqual({ b: "2" });
  expect((await patch({ data: { c: "3" } }, PatchStrategy.StrategicMergePatch)).data).toEqual({ b: "2", c: "3" });

  const apply = (fieldManager: string, data: object, force?: boolean): Promise<V1ConfigMap> =>
    core.patchNamespacedConfigMap(
      {
        namespace,
        name: "applied",
        body: { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "applied" }, data },
        fieldManager,
        ...(force === undefined ? {} : { force }),
      },
      setHeaderOptions("Content-Type", PatchStrategy.ServerSideApply),
    );
  expect((await apply("one", { a: "1" })).data).toEqual({ a: "1" });
  expect((await apply("two", { b: "2" })).data).toEqual({ a: "1", b: "2" });
  await expect(apply("two", { a: "2" })).rejects.toMatchObject({ code: 409 });
  expect((await apply("two", { a: "2" }, true)).data).toEqual({ a: "2" });
});

test("makes an ApiException with the Status of what was refused", async () => {
  const refused = async (call: Promise<unknown>): Promise<{ code: number; reason?: string }> => {
    const error = await call.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (!(error instanceof ApiException)) throw new Error(`no ApiException but ${String(error)}`);
    const status = JSON.parse(error.body as string) as { kind: string; code: number; reason?: string };
    expect([status.kind, status.code]).toEqual(["Status", error.code]);
    return status;
  };
  expect(await refused(core.readNamespacedPod({ namespace, name: "none" }))).toMatchObject({ code: 404, reason: "NotFound" });
  expect(await refused(core.createNamespacedConfigMap({ namespace, body: { metadata: { name: "No" } } }))).toMatchObject({
    code: 422,
    reason: "Invalid",
  });
  expect(await refused(core.createNamespacedConfigMap({ namespace, body: { metadata: { name: "patched" } } }))).toMatchObject({
    reason: "AlreadyExists",
  });
  const stale = { metadata: { name: "patched", resourceVersion: "1" } };
  expect(await refused(core.replaceNamespacedConfigMap({ namespace, name: "patched", body: stale }))).toMatchObject({ reason: "Conflict" });
});

test("follows objects with an informer, and a watch from a revision", async () => {
  const seen: string[] = [];
  const list = () => core.listNamespacedConfigMap({ namespace, labelSelector: "informed" });
  const informer = makeInformer<V1ConfigMap>(config, `/api/v1/namespaces/${namespace}/configmaps`, list, "informed");
  for (const verb of ["add", "update", "delete"] as const)
    informer.on(verb, ({ metadata, data }) => void seen.push(`${verb} ${metadata?.name} ${data?.["n"]}`));
  const body = (n: string): V1ConfigMap => ({ metadata: { name: "seen", labels: { informed: "" } }, data: { n } });
  const { metadata } = await core.createNamespacedConfigMap({ namespace, body: body("1") });
  await informer.start();
  await until("the first is seen", () => seen.includes("add seen 1"));
  await core.replaceNamespacedConfigMap({ namespace, name: "seen", body: body("2") });
  await until("the change is seen", () => seen.includes("update seen 2"));
  expect(informer.get("seen", namespace)?.data).toEqual({ n: "2" });
  await core.deleteNamespacedConfigMap({ namespace, name: "seen" });
  await until("the deletion is seen", () => seen.includes("delete seen 2"));
  await informer.stop();

  const phases: string[] = [];
  const path = `/api/v1/namespaces/${namespace}/configmaps`;
  const query = { resourceVersion: metadata?.resourceVersion, labelSelector: "informed" };
  const watch = await new Watch(config).watch(
    path,
    query,
    (phase) => void phases.push(phase),
    () => undefined,
  );
  await until("what came after it is watched", () => phases.length >= 2);
  watch.abort();
  expect(phases).toEqual(["MODIFIED", "DELETED"]);
});

test("handles objects of kinds it finds out about", async () => {
  const objects = KubernetesObjectApi.makeApiClient(config);
  const spec = {
    apiVersion: "networking.k8s.io/v1",
    kind: "IngressClass",
    metadata: { name: "any" },
    spec: { controller: "example.com/any" },
  };
  const made: KubernetesObject = await objects.create<KubernetesObject>(spec);
  expect(made.metadata?.uid).toMatch(/^[0-9a-f-]{36}$/);
  expect(await objects.read({ apiVersion: spec.apiVersion, kind: spec.kind, metadata: { name: "any" } })).toMatchObject({
    kind: "IngressClass",
  });
  expect((await objects.list(spec.apiVersion, spec.kind)).items).toHaveLength(1);
  await objects.delete(spec);
});
