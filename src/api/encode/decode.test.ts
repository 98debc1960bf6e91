import { describe, expect, it } from "vitest";
import { invalidValue } from "../meta/field-error.ts";
import { hasSentEmpty, sentEmptyOf, showSentEmpty, withoutSentEmpty } from "../meta/sent-empty.ts";
import { schemaOfKind } from "../schema/schema.ts";
import { cannotBeHandled, type Decoded, decodeObject } from "./decode.ts";
import { parseJson } from "./json-text.ts";

function decode(apiVersion: string, kind: string, body: unknown): Decoded {
  const schema = schemaOfKind(apiVersion, kind);
  if (!schema) throw new Error(`no kind ${kind}`);
  return decodeObject(schema, parseJson(typeof body === "string" ? body : JSON.stringify(body)).value);
}
const pod = (spec: unknown): Decoded => decode("v1", "Pod", { metadata: {}, spec });
const spec = (object: Decoded): Record<string, unknown> => object.object.spec as Record<string, unknown>;

describe("decodeObject()", () => {
  it("shares what needs no change", () => {
    const schema = schemaOfKind("v1", "ConfigMap");
    if (!schema) throw new Error("ConfigMap is built in");
    const input = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a" }, data: { k: "v" } };
    expect(decodeObject(schema, input).object).toBe(input);
  });

  it("drops unknown fields and names them in the order of the text, whatever their case", () => {
    const { object, unknown } = decode("apps/v1", "Deployment", {
      metadata: { name: "a", mid: 3 },
      spec: { selector: {}, template: { spec: { containers: [{ name: "c", foo: 1 }] }, gamma: 5 }, Replicas: 4 },
      zeta: 1,
    });
    expect(unknown).toEqual(["metadata.mid", "spec.template.spec.containers[0].foo", "spec.template.gamma", "spec.Replicas", "zeta"]);
    expect(object).not.toHaveProperty("zeta");
  });

  it("leaves out empty optional values and null, but keeps explicit zeros of pointers", () => {
    const decoded = spec(
      pod({
        containers: [{ name: "c", image: "", args: [], stdin: false, env: null, securityContext: { privileged: false } }],
        hostNetwork: false,
        nodeSelector: {},
        priority: 0,
        terminationGracePeriodSeconds: 0,
        activeDeadlineSeconds: null,
        enableServiceLinks: false,
      }),
    );
    expect(withoutSentEmpty(decoded as object)).toEqual({
      containers: [{ name: "c", resources: {}, securityContext: { privileged: false } }],
      priority: 0,
      terminationGracePeriodSeconds: 0,
      enableServiceLinks: false,
    });
  });

  it("errors show what was sent empty at their field, found in time that is proportional to its length", () => {
    const { object } = decode("rbac.authorization.k8s.io/v1", "Role", { metadata: { name: "a" }, rules: [] });
    const errors = ["rules", `rules${"[".repeat(300_000)}`].map((field) => invalidValue(field, null, "x"));
    expect(showSentEmpty(errors, object).map(({ value }) => value)).toEqual([[], null]);
  });

  it("notes which lists and maps were sent empty, on whatever is made of the object", () => {
    const { object } = decode("rbac.authorization.k8s.io/v1", "Role", { metadata: { name: "a", labels: {} }, rules: [] });
    expect(JSON.stringify(object)).toBe('{"metadata":{"name":"a"},"rules":null}');
    const copy = { ...object };
    expect(hasSentEmpty(copy)).toBe(true);
    expect([sentEmptyOf(copy, "rules"), sentEmptyOf(copy["metadata"], "labels"), sentEmptyOf(copy, "kind")]).toEqual([[], {}, undefined]);
    expect(hasSentEmpty(withoutSentEmpty(copy))).toBe(false);
    expect(hasSentEmpty(decode("rbac.authorization.k8s.io/v1", "Role", { metadata: { name: "a" } }).object)).toBe(false);
  });

  it("writes what Go always writes", () => {
    expect(decode("v1", "Pod", {}).object).toEqual({ metadata: {}, spec: { containers: null }, status: {} });
    expect(decode("rbac.authorization.k8s.io/v1", "Role", {}).object).toEqual({ metadata: {}, rules: null });
    expect(decode("v1", "Event", { involvedObject: {} }).object).toMatchObject({
      eventTime: null,
      firstTimestamp: null,
      reportingComponent: "",
      source: {},
    });
    expect(spec(decode("v1", "Service", { spec: { ports: [{ name: "http" }] } }))).toEqual({ ports: [{ name: "http", port: 0 }] });
  });

  it("normalises quantities, times and base64", () => {
    const resources = { requests: { cpu: 0.5, memory: "1024Mi" }, limits: { cpu: "2000m" } };
    expect(spec(pod({ containers: [{ name: "c", resources }] }))).toMatchObject({
      containers: [{ resources: { requests: { cpu: "500m", memory: "1Gi" }, limits: { cpu: "2" } } }],
    });
    expect(decode("v1", "ConfigMap", { metadata: { deletionTimestamp: "2026-01-01T02:00:00+02:00" } }).object.metadata).toEqual({
      deletionTimestamp: "2026-01-01T00:00:00Z",
    });
    expect(decode("v1", "Secret", { data: { a: "YR==", b: "aGVs\nbG8=" } }).object.data).toEqual({ a: "YQ==", b: "aGVsbG8=" });
  });

  it("turns nulls in lists and maps into zero values", () => {
    expect(spec(pod({ containers: [null], nodeSelector: { a: null } }))).toMatchObject({
      containers: [{ name: "", resources: {} }],
      nodeSelector: { a: "" },
    });
  });

  it.each<[string, string, unknown, string]>([
    [
      "apps/v1",
      "Deployment",
      { spec: { replicas: "3" } },
      "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
    ],
    [
      "apps/v1",
      "Deployment",
      { spec: { replicas: 1.5 } },
      "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
    ],
    [
      "apps/v1",
      "Deployment",
      '{"spec":{"replicas":2.0}}',
      "json: cannot unmarshal number 2.0 into Go struct field DeploymentSpec.spec.replicas of type int32",
    ],
    [
      "apps/v1",
      "Deployment",
      '{"spec":{"replicas":1e1}}',
      "json: cannot unmarshal number 1e1 into Go struct field DeploymentSpec.spec.replicas of type int32",
    ],
    [
      "apps/v1",
      "Deployment",
      { spec: { replicas: 3000000000 } },
      "json: cannot unmarshal number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32",
    ],
    [
      "v1",
      "Pod",
      '{"spec":{"activeDeadlineSeconds":99999999999999999999}}',
      "json: cannot unmarshal number 99999999999999999999 into Go struct field PodSpec.spec.activeDeadlineSeconds of type int64",
    ],
    ["v1", "Pod", { spec: "x" }, "json: cannot unmarshal string into Go struct field Pod.spec of type v1.PodSpec"],
    // What a time refuses ends decoding, and is told instead of what was wrong before it.
    [
      "v1",
      "Secret",
      { metadata: { finalizers: [5], creationTimestamp: "bad", labels: { a: 1 } } },
      'parsing time "bad" as "2006-01-02T15:04:05Z07:00": cannot parse "bad" as "2006"',
    ],
    [
      "v1",
      "Pod",
      { spec: { volumes: [{ configMap: { name: 5 } }] } },
      "json: cannot unmarshal number into Go struct field ConfigMapVolumeSource.spec.volumes.VolumeSource.configMap.LocalObjectReference.name of type string",
    ],
    [
      "admissionregistration.k8s.io/v1",
      "ValidatingAdmissionPolicy",
      { spec: { matchConstraints: { resourceRules: [{ resources: "pods" }] } } },
      "json: cannot unmarshal string into Go struct field NamedRuleWithOperations.spec.matchConstraints.resourceRules.RuleWithOperations.Rule.resources of type []string",
    ],
    [
      "v1",
      "Pod",
      { spec: { containers: [{ name: 5 }] } },
      "json: cannot unmarshal number into Go struct field Container.spec.containers.name of type string",
    ],
    [
      "v1",
      "Pod",
      { spec: { restartPolicy: true } },
      "json: cannot unmarshal bool into Go struct field PodSpec.spec.restartPolicy of type v1.RestartPolicy",
    ],
    [
      "v1",
      "Pod",
      { spec: { containers: {} } },
      "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
    ],
    [
      "v1",
      "ConfigMap",
      { metadata: { labels: { a: true } } },
      "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string",
    ],
    ["v1", "ConfigMap", { data: "x" }, "json: cannot unmarshal string into Go struct field ConfigMap.data of type map[string]string"],
    ["v1", "ConfigMap", { immutable: "yes" }, "json: cannot unmarshal string into Go struct field ConfigMap.immutable of type bool"],
    [
      "v1",
      "Service",
      { spec: { ports: [{ targetPort: true }] } },
      "json: cannot unmarshal bool into Go struct field ServicePort.spec.ports.targetPort of type int32",
    ],
    [
      "v1",
      "Service",
      { spec: { ports: [{ targetPort: 80.5 }] } },
      "json: cannot unmarshal number 80.5 into Go struct field ServicePort.spec.ports.targetPort of type int32",
    ],
    [
      "v1",
      "Pod",
      { spec: { containers: [{ resources: { requests: { cpu: "" } } }] } },
      "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    ],
    [
      "batch/v1",
      "Job",
      { metadata: { creationTimestamp: "today" } },
      'parsing time "today" as "2006-01-02T15:04:05Z07:00": cannot parse "today" as "2006"',
    ],
    [
      "coordination.k8s.io/v1",
      "Lease",
      { spec: { renewTime: "2024-01-01T00:00:00" } },
      'parsing time "2024-01-01T00:00:00" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "" as ".000000"',
    ],
    ["v1", "Secret", { data: { a: "a b=" } }, "illegal base64 data at input byte 1"],
    ["v1", "ConfigMap", [], "json: cannot unmarshal array into Go value of type v1.ConfigMap"],
  ])("refuses a %s %s with %j", (apiVersion, kind, body, message) => {
    expect(() => decode(apiVersion, kind, body)).toThrow(expect.objectContaining({ name: "DecodeError", message }));
  });

  const definition = (schema: unknown) =>
    decode("apiextensions.k8s.io/v1", "CustomResourceDefinition", {
      metadata: { name: "a" },
      spec: { versions: [{ schema: { openAPIV3Schema: schema } }] },
    });
  const inSchema = "Go struct field JSONSchemaProps.spec.versions.schema.openAPIV3Schema";

  it("reads schemas of custom resources where other values may stand, and leaves out what it does not know there", () => {
    const { object, unknown } = definition({
      items: { type: "string", nullable: false, unheardOf: 1 },
      additionalProperties: { title: "", type: "object" },
      dependencies: { a: null, b: ["c"] },
    });
    expect(object).toMatchObject({
      spec: {
        versions: [
          {
            schema: {
              openAPIV3Schema: { items: { type: "string" }, additionalProperties: { type: "object" }, dependencies: { a: [], b: ["c"] } },
            },
          },
        ],
      },
    });
    expect(JSON.stringify(object)).not.toMatch(/nullable|unheardOf|title/);
    expect(unknown).toEqual([]);
  });

  it.each([
    [{ additionalProperties: "x" }, "boolean or JSON schema expected"],
    [{ additionalItems: [] }, "boolean or JSON schema expected"],
    [{ items: { type: 5 } }, `json: cannot unmarshal number into ${inSchema}.items.type of type string`],
    [{ dependencies: { a: ["b", 5] } }, `json: cannot unmarshal number into ${inSchema}.dependencies of type string`],
    [{ enum: {} }, `json: cannot unmarshal object into ${inSchema}.enum of type []v1.JSON`],
  ])("refuses a definition with the schema %j", (schema, message) => {
    expect(() => definition(schema)).toThrow(expect.objectContaining({ name: "DecodeError", message }));
  });

  it("names the first of several wrong values", () => {
    expect(() => pod({ hostNetwork: 1, priority: "x" })).toThrow("PodSpec.spec.hostNetwork of type bool");
  });

  it("is refused by the server in these words", () => {
    expect(cannotBeHandled({ version: "v1", kind: "Pod" }, "Pod", "json: …").message).toBe(
      'Pod in version "v1" cannot be handled as a Pod: json: …',
    );
  });
});

it("paths of unknown fields are not repeated without end", () => {
  const capacity = { ["k".repeat(600_000)]: Object.fromEntries(Array.from({ length: 90 }, (_, i) => [`f${i}`, 1])) };
  const slice = { spec: { devices: [{ name: "a", capacity }] } };
  expect(decode("resource.k8s.io/v1", "ResourceSlice", slice).unknown).toHaveLength(2);
});
