// Custom resources as users of kubectl meet them: a definition is applied, explained and used, and garbage collection and the
// deletion of namespaces take custom objects as they take others. A control plane alone is enough.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster, whyNoKubectl } from "../support/cluster.ts";
import { until } from "../support/processes.ts";

const reason = await whyNoKubectl();
if (reason) console.log(`custom resources are not tried with kubectl: ${reason}`);

const definition = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "crontabs.stable.example.com" },
  spec: {
    group: "stable.example.com",
    scope: "Namespaced",
    names: { plural: "crontabs", singular: "crontab", kind: "CronTab", shortNames: ["ct"], categories: ["all"] },
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        subresources: { status: {}, scale: { specReplicasPath: ".spec.replicas", statusReplicasPath: ".status.replicas" } },
        additionalPrinterColumns: [
          { name: "Schedule", type: "string", jsonPath: ".spec.cronSpec" },
          { name: "Replicas", type: "integer", jsonPath: ".spec.replicas" },
          { name: "First", type: "string", jsonPath: ".spec.steps[0].name" },
        ],
        selectableFields: [{ jsonPath: ".spec.cronSpec" }],
        schema: {
          openAPIV3Schema: {
            type: "object",
            description: "Something that happens at set times.",
            properties: {
              spec: {
                type: "object",
                required: ["cronSpec"],
                properties: {
                  cronSpec: { type: "string", description: "When it happens.", pattern: "^\\S+$" },
                  replicas: { type: "integer", minimum: 1, maximum: 10, default: 1 },
                  steps: {
                    type: "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    items: {
                      type: "object",
                      required: ["name"],
                      properties: { name: { type: "string" }, command: { type: "string" } },
                    },
                  },
                },
              },
              status: { type: "object", properties: { replicas: { type: "integer" } } },
            },
          },
        },
      },
    ],
  },
};

const cronTab = (name: string, spec: object = {}, metadata: object = {}): object => ({
  apiVersion: "stable.example.com/v1",
  kind: "CronTab",
  metadata: { name, ...metadata },
  spec: { cronSpec: "*/5", ...spec },
});

describe.runIf(reason === undefined)("custom resources", { timeout: 120_000 }, () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.prepare("custom", ["--nodes", "0"]);
    await cluster.start();
    await cluster.apply(definition);
    await cluster.kubectl("wait", "--for=condition=Established", "crd/crontabs.stable.example.com", "--timeout=30s");
  }, 60_000);
  afterAll(() => cluster?.remove(), 60_000);

  const refused = async (args: readonly string[]): Promise<string> => {
    try {
      await cluster.kubectl(...args);
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error(`kubectl ${args.join(" ")} was not refused`);
  };

  it("are explained", async () => {
    const root = await cluster.kubectl("explain", "crontabs.stable.example.com");
    expect(root).toMatch(
      /GROUP: +stable\.example\.com\nKIND: +CronTab\nVERSION: +v1\n\nDESCRIPTION:\n {4}Something that happens at set times\./,
    );
    expect(await cluster.kubectl("explain", "crontab.spec.cronSpec")).toContain("When it happens.");
    expect(await cluster.kubectl("explain", "crontab.spec", "--recursive")).toMatch(
      /steps\t<\[\]Object>\n +command\t<string>\n +name\t<string> -required-/,
    );
  });

  it("are created, printed with their columns, selected, patched and scaled", async () => {
    expect(await cluster.apply(cronTab("one", { steps: [{ name: "a" }] }))).toBe("crontab.stable.example.com/one created\n");
    expect(await cluster.apply(cronTab("one", { steps: [{ name: "a" }] }))).toBe("crontab.stable.example.com/one unchanged\n");
    await cluster.apply(cronTab("two", { cronSpec: "@daily" }));
    expect(await cluster.kubectl("get", "ct")).toBe(
      ["NAME   SCHEDULE   REPLICAS   FIRST\n", "one    */5        1          a\n", "two    @daily     1          \n"].join(""),
    );
    expect(await cluster.kubectl("get", "all", "-o", "name")).toContain("crontab.stable.example.com/one\n");
    expect(await cluster.kubectl("get", "ct", "--field-selector", "spec.cronSpec=@daily", "-o", "name")).toBe(
      "crontab.stable.example.com/two\n",
    );
    await cluster.kubectl("patch", "ct", "one", "--type=merge", "-p", '{"spec":{"cronSpec":"@hourly"}}');
    await cluster.kubectl("scale", "ct", "one", "--replicas=4");
    await cluster.kubectl("patch", "ct", "one", "--subresource=status", "--type=merge", "-p", '{"status":{"replicas":4}}');
    const path = "{.spec.cronSpec} {.spec.replicas} {.status.replicas} {.metadata.generation}";
    expect(await cluster.kubectl("get", "ct", "one", "-o", `jsonpath=${path}`)).toBe("@hourly 4 4 3");
  });

  it("refuse what their schema does not allow", async () => {
    await cluster.apply(cronTab("strict"));
    expect(await refused(["patch", "ct", "strict", "--type=merge", "-p", '{"spec":{"replicas":11}}'])).toContain(
      "spec.replicas: Invalid value: 11: spec.replicas in body should be less than or equal to 10",
    );
    expect(await refused(["patch", "ct", "strict", "--type=merge", "-p", '{"spec":{"cronSpec":"a b"}}'])).toContain(
      "spec.cronSpec in body should match '^\\S+$'",
    );
    // Of a list kubectl checks the items itself, by the OpenAPI document.
    await expect(cluster.apply(cronTab("unknown", { colour: "red" }))).rejects.toThrow('unknown field "colour"');
    const input = JSON.stringify(cronTab("unknown", { colour: "red" }));
    const { stderr } = await cluster.tryKubectl(["create", "-f", "-"], { input });
    expect(stderr).toContain('strict decoding error: unknown field "spec.colour"');
  });

  it("are owned field by field when they are applied on the server's side", async () => {
    await cluster.apply(cronTab("shared", { steps: [{ name: "a", command: "x" }] }));
    const patch = (manager: string, steps: readonly object[]): Promise<string> =>
      cluster.kubectl(
        "patch",
        "ct",
        "shared",
        `--field-manager=${manager}`,
        "--type=merge",
        "-p",
        JSON.stringify({ metadata: { annotations: { [manager]: "1" } }, spec: { steps } }),
      );
    await patch("other", [
      { name: "a", command: "x" },
      { name: "b", command: "y" },
    ]);
    const shown = await cluster.get<{
      readonly metadata: { readonly managedFields: readonly { readonly manager: string; readonly fieldsV1: object }[] };
    }>("ct", "shared", "--show-managed-fields");
    const other = shown.metadata.managedFields.find(({ manager }) => manager === "other");
    const owned = JSON.stringify(other?.fieldsV1);
    expect(owned).toContain('k:{\\"name\\":\\"b\\"}');
    expect(owned).not.toContain('k:{\\"name\\":\\"a\\"}');
  });

  it("go with their owner and with their namespace", async () => {
    await cluster.kubectl("create", "namespace", "going");
    await cluster.kubectl("create", "configmap", "owner");
    const { metadata } = await cluster.get<{ readonly metadata: { readonly uid: string } }>("configmap", "owner");
    const ownerReferences = [{ apiVersion: "v1", kind: "ConfigMap", name: "owner", uid: metadata.uid }];
    await cluster.apply(cronTab("owned", {}, { ownerReferences }));
    await cluster.apply(cronTab("inside", {}, { namespace: "going" }));
    await cluster.kubectl("delete", "configmap", "owner");
    await cluster.kubectl("delete", "namespace", "going", "--timeout=60s");
    expect(await refused(["get", "ct", "inside", "-n", "going"])).toContain("NotFound");
    await until(
      "the object has gone with its owner",
      async () => (await cluster.kubectl("get", "ct", "owned", "--ignore-not-found", "-o", "name")) === "",
      60_000,
    );
  });

  it("go with their definition", async () => {
    await cluster.apply(cronTab("last"));
    await cluster.kubectl("delete", "crd", "crontabs.stable.example.com", "--timeout=30s");
    expect(await refused(["get", "crontabs"])).toMatch(/could not find the requested resource|doesn't have a resource type/);
    await cluster.apply(definition);
    await cluster.kubectl("wait", "--for=condition=Established", "crd/crontabs.stable.example.com", "--timeout=30s");
    expect(await cluster.kubectl("get", "crontabs.stable.example.com", "-o", "name")).toBe("");
  });
});
