// What the built-in kinds answer to objects that are wrong, or odd, in one place: a table of objects and of the causes that
// the answer lists, through the resource handler.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { builtInDefinitions } from "../definitions.ts";
import { createFixture, type Fixture } from "../request-fixture.ts";
import { describedResources } from "./all.ts";

let fixture: Fixture;

beforeEach(() => {
  fixture = createFixture({ definitions: builtInDefinitions(describedResources) });
});
afterEach(() => fixture.stop());

const ns = "/api/v1/namespaces/default";
const apps = "/apis/apps/v1/namespaces/default";
const template = { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i:1" }] } };
const workload = { metadata: { name: "x" }, spec: { selector: { matchLabels: { a: "b" } }, template } };
const volume = (source: object): object => ({ spec: { capacity: { storage: "1Gi" }, accessModes: ["ReadWriteOnce"], ...source } });
const resources = "/apis/resource.k8s.io/v1/namespaces/default";
const rules = [{ host: "a.b", http: { paths: [{ path: "/", pathType: "", backend: { service: { name: "s", port: { number: 1 } } } }] } }];

const causesOf = (body: object): string[] =>
  (body as { details?: { causes?: { field: string; message: string }[] } }).details?.causes?.map(
    ({ field, message }) => `${field}: ${message}`,
  ) ?? [];

describe("creates", () => {
  it.each<[string, string, object, readonly string[]]>([
    [
      "an ephemeral volume's claim has no metadata but labels and annotations",
      `${ns}/pods`,
      {
        spec: {
          containers: [{ name: "c", image: "i" }],
          volumes: [
            {
              name: "v",
              ephemeral: {
                volumeClaimTemplate: {
                  metadata: { name: "n", uid: "u", generation: 2 },
                  spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
                },
              },
            },
          ],
        },
      },
      ["name", "uID", "generation"].map(
        (field) => `spec.volumes[0].ephemeral.volumeClaimTemplate.metadata.${field}: Forbidden: cannot be set`,
      ),
    ],
    [
      "nor has that of a template of device claims",
      `${resources}/resourceclaimtemplates`,
      { spec: { metadata: { finalizers: ["a/b"] }, spec: {} } },
      ["spec.metadata.finalizers: Forbidden: cannot be set"],
    ],
    [
      "a stateful set's template is looked at twice",
      `${apps}/statefulsets`,
      { spec: { ...workload.spec, template: { ...template, metadata: { labels: { a: "b", c: "-" } } } } },
      ["spec.template.labels", "spec.template.labels"].map((field) => expect.stringContaining(`${field}: Invalid value: "-"`)),
    ],
    [
      "the secret of a Cinder volume says where it is",
      "/api/v1/persistentvolumes",
      volume({ cinder: { volumeID: "v", secretRef: { name: "s" } } }),
      ["spec.cinder.secretRef.namespace: Required value"],
    ],
    [
      "names of iSCSI initiators in persistent volumes",
      "/api/v1/persistentvolumes",
      volume({ iscsi: { targetPortal: "1.2.3.4", iqn: "x", lun: 0, chapAuthSession: true, secretRef: {}, initiatorName: "y" } }),
      [
        'spec.iscsi.iqn: Invalid value: "x": must be valid format',
        "spec.iscsi.secretRef.name: Required value",
        'spec.iscsi.initiatorname: Invalid value: "y": must be valid format',
      ],
    ],
    [
      "a path type that is given and empty is no missing one",
      "/apis/networking.k8s.io/v1/namespaces/default/ingresses",
      { spec: { rules } },
      ['spec.rules[0].http.paths[0].pathType: Unsupported value: "": supported values: "Exact", "ImplementationSpecific", "Prefix"'],
    ],
    [
      "the internal traffic policy of a name outside the cluster must be one",
      `${ns}/services`,
      { spec: { type: "ExternalName", externalName: "a.b", internalTrafficPolicy: "Some" } },
      ['spec.internalTrafficPolicy: Unsupported value: "Some": supported values: "Cluster", "Local"'],
    ],
    [
      "values of topologies come before their keys",
      "/apis/storage.k8s.io/v1/storageclasses",
      { provisioner: "p", allowedTopologies: [{ matchLabelExpressions: [{ key: "-", values: [] }] }] },
      [
        "allowedTopologies[0].matchLabelExpressions[0].values: Required value",
        expect.stringContaining('allowedTopologies[0].matchLabelExpressions[0].key: Invalid value: "-"'),
      ],
    ],
    [
      "a time zone that is no name is refused once",
      "/apis/batch/v1/namespaces/default/cronjobs",
      {
        spec: {
          schedule: "* * * * *",
          timeZone: "a b",
          jobTemplate: { spec: { template: { ...template, spec: { ...template.spec, restartPolicy: "Never" } } } },
        },
      },
      ['spec.timeZone: Invalid value: "a b": unknown time zone a b'],
    ],
  ])("%s", async (_, path, body, causes) => {
    const { body: answer } = await fixture.send("POST", path, { body: { metadata: { name: "x" }, ...body } });
    expect(causesOf(answer)).toEqual(causes);
  });

  it.each<[string, string, object]>([
    [
      "budgets may have any name that fits a path",
      "/apis/policy/v1/namespaces/default/poddisruptionbudgets",
      { metadata: { name: "A_b" } },
    ],
    [
      "tolerations of devices compare for equality",
      `${resources}/resourceclaims`,
      { spec: { devices: { requests: [{ name: "r", exactly: { deviceClassName: "c", tolerations: [{ key: "k", value: "v" }] } }] } } },
    ],
    [
      "leases may have finalizers without a domain",
      "/apis/coordination.k8s.io/v1/namespaces/default/leases",
      { metadata: { finalizers: ["mine"] } },
    ],
  ])("%s", async (_, path, body) => {
    const { status, body: answer } = await fixture.send("POST", path, {
      body: { ...body, metadata: { name: "x", ...(body as { readonly metadata?: object }).metadata } },
    });
    expect(status, JSON.stringify(answer)).toBe(201);
  });

  it("fields of features that are off are not kept, and have an owner", async () => {
    const updateStrategy = { rollingUpdate: { maxUnavailable: 2 } };
    const { body } = await fixture.send("POST", `${apps}/statefulsets`, {
      body: { ...workload, spec: { ...workload.spec, updateStrategy } },
    });
    expect(body["spec"]).toMatchObject({ updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition: 0 } } });
    expect(JSON.stringify(body["spec"])).not.toContain("maxUnavailable");
    expect(body.metadata.managedFields?.[0]).toMatchObject({
      fieldsV1: { "f:spec": { "f:updateStrategy": { "f:rollingUpdate": { "f:maxUnavailable": {} } } } },
    });
  });

  it("templates keep a negative time to end", async () => {
    const spec = { ...template.spec, terminationGracePeriodSeconds: -1 };
    const { body } = await fixture.send("POST", `${apps}/deployments`, {
      body: { ...workload, spec: { ...workload.spec, template: { ...template, spec } } },
    });
    expect(body["spec"]).toMatchObject({ template: { spec: { terminationGracePeriodSeconds: -1 } } });
  });
});

describe("updates", () => {
  it.each<[string, string, object, number]>([
    ["a deployment", `${apps}/deployments`, workload, 3],
    ["a config map", `${ns}/configmaps`, { metadata: { name: "x" } }, 4],
    ["a budget", "/apis/policy/v1/namespaces/default/poddisruptionbudgets", { metadata: { name: "x" }, spec: { minAvailable: 1 } }, 2],
  ])("of the labels of %s are checked as often as its rules say", async (_, path, body, times) => {
    await fixture.send("POST", path, { body });
    const { body: answer } = await fixture.send("PATCH", `${path}/x`, {
      body: { metadata: { labels: { bad: "-" } } },
      contentType: "application/merge-patch+json",
    });
    expect(causesOf(answer)).toEqual(Array.from({ length: times }, () => expect.stringContaining('metadata.labels: Invalid value: "-"')));
  });

  it("an empty object is a change, an empty list is none", async () => {
    await fixture.send("POST", `${apps}/deployments`, { body: workload });
    const patch = (spec: object): ReturnType<Fixture["send"]> =>
      fixture.send("PATCH", `${apps}/deployments/x`, {
        body: { spec: { template: { spec } } },
        contentType: "application/merge-patch+json",
      });
    expect((await patch({ tolerations: [] })).body.metadata.generation).toBe(1);
    expect((await patch({ affinity: {} })).body.metadata.generation).toBe(2);
  });
});

describe("resizes", () => {
  it("keep the containers there are", async () => {
    const spec = { containers: [{ name: "c", image: "i" }] };
    await fixture.send("POST", `${ns}/pods`, { body: { metadata: { name: "p" }, spec } });
    const { status, body } = await fixture.send("PUT", `${ns}/pods/p/resize`, { body: { metadata: { name: "p" } } });
    expect([status, causesOf(body)]).toEqual([
      422,
      ["spec.containers: Required value", "spec.containers: Forbidden: containers may not be added or removed on resize"],
    ]);
  });
});
