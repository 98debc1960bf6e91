// What a write needs besides the permission to write: reading the parameters of a policy, allocating devices.
import { describe, expect, it } from "vitest";
import {
  configmaps,
  namespaces,
  resourceclaims,
  validatingadmissionpolicies,
  validatingadmissionpolicybindings,
} from "../../api/resources.generated.ts";
import type { ResourceClaim } from "../../api/types/resource-v1.ts";
import type { AuthorizationAttributes, Authorizer } from "../authz/authorizer.ts";
import { deviceAccessCheck } from "./device-access.ts";
import { MemoryReader } from "./memory-reader.ts";
import { parameterAccessCheck } from "./parameter-access.ts";
import { admissionRequest, readingClient, runPlugin } from "./request-fixture.ts";

const mayDo = (allows: (a: AuthorizationAttributes) => boolean): Authorizer => ({
  authorize: (a) => ({ decision: allows(a) ? "allow" : "no-opinion", reason: "" }),
});
const nobody = mayDo(() => false);

describe("parameterAccessCheck()", () => {
  const reader = new MemoryReader();
  const policy = reader.put(validatingadmissionpolicies, {
    metadata: { name: "p" },
    spec: { paramKind: { apiVersion: "v1", kind: "ConfigMap" } },
  });

  it("a policy's parameters must be readable, all of them", async () => {
    const asked: AuthorizationAttributes[] = [];
    const authorizer = mayDo((a) => asked.push(a) > 1);
    const plugin = parameterAccessCheck({ reader, authorizer });
    const request = admissionRequest(validatingadmissionpolicies, policy);
    await expect(runPlugin(plugin, request)).rejects.toMatchObject({
      status: {
        reason: "Invalid",
        message: expect.stringContaining(
          'must have "get" permission on all objects of the referenced paramKind (kind=ConfigMap, apiVersion=v1)',
        ),
      },
    });
    expect(asked[0]).toMatchObject({
      verb: "get",
      apiGroup: "",
      apiVersion: "v1",
      resource: configmaps.resource,
      name: "*",
      namespace: "*",
    });
    await expect(runPlugin(plugin, request)).resolves.toBe(policy);
    const unchanged = { operation: "UPDATE", oldObject: policy } as const;
    await expect(runPlugin(parameterAccessCheck({ reader, authorizer: nobody }), { ...request, ...unchanged })).resolves.toBe(policy);
    const master = { user: { name: "root", groups: ["system:masters"] } };
    await expect(runPlugin(parameterAccessCheck({ reader, authorizer: nobody }), { ...request, ...master })).resolves.toBe(policy);
  });

  it("whoever binds must be allowed to read what he binds to", async () => {
    const binding = (policyName: string, paramRef: object) =>
      new MemoryReader().put(validatingadmissionpolicybindings, {
        metadata: { name: "b" },
        spec: { policyName, paramRef, validationActions: ["Deny"] },
      });
    const onlyOne = mayDo((a) => a.resource === "configmaps" && a.verb === "get" && a.name === "x" && a.namespace === "n");
    const plugin = parameterAccessCheck({ reader, authorizer: onlyOne });
    const run = (object: ReturnType<typeof binding>) => runPlugin(plugin, admissionRequest(validatingadmissionpolicybindings, object));
    const named = binding("p", { name: "x", namespace: "n" });
    await expect(run(named)).resolves.toBe(named);
    await expect(run(binding("p", { selector: {}, namespace: "n" }))).rejects.toMatchObject({
      status: { message: expect.stringContaining('does not have "list" permission on the object referenced by paramRef') },
    });
    await expect(run(binding("unknown", { name: "x", namespace: "n" }))).rejects.toMatchObject({
      status: { message: expect.stringContaining("unable to get policy unknown to determine minimum required permissions and user") },
    });
  });
});

describe("deviceAccessCheck()", () => {
  const claimOf = (more: Partial<ResourceClaim>): ResourceClaim =>
    new MemoryReader().put(resourceclaims, { metadata: { name: "c", namespace: "n" }, spec: {}, ...more });
  const exactly = { deviceClassName: "x", adminAccess: true };
  const admin = claimOf({ spec: { devices: { requests: [{ name: "a", exactly }] } } });

  it("administrators' access is for namespaces with the label", async () => {
    const reader = new MemoryReader();
    reader.put(namespaces, { metadata: { name: "n" }, spec: {} });
    const plugin = deviceAccessCheck({ reader, authorizer: nobody, client: readingClient(reader) });
    const request = admissionRequest(resourceclaims, admin);
    await expect(runPlugin(plugin, request)).rejects.toMatchObject({
      status: {
        reason: "Invalid",
        message: expect.stringContaining(
          "spec.devices.requests[0].adminAccess: Forbidden: admin access to devices requires the `resource.kubernetes.io/admin-access: true` label",
        ),
      },
    });
    reader.put(namespaces, { metadata: { name: "n", labels: { "resource.kubernetes.io/admin-access": "true" } }, spec: {} });
    await expect(runPlugin(plugin, request)).resolves.toBe(admin);
  });

  it("allocating needs a permission of its own, and so does speaking for a driver", async () => {
    const reader = new MemoryReader();
    const result = { request: "a", driver: "d.example.com", pool: "p", device: "x" };
    const allocation = {
      devices: { results: [result] },
      nodeSelector: { nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "In" as const, values: ["node-1"] }] }] },
    };
    const device = { driver: "d.example.com", pool: "p", device: "x" };
    const old = claimOf({});
    const allocated = claimOf({ status: { allocation } });
    const reported = claimOf({ status: { allocation, devices: [device] } });
    const update = (object: ResourceClaim, oldObject: ResourceClaim, user = { name: "u", groups: [] as string[] }) =>
      admissionRequest(resourceclaims, object, { operation: "UPDATE", subresource: "status", oldObject, user });
    const check = (authorizer: Authorizer) => deviceAccessCheck({ reader, authorizer, client: readingClient(reader) });

    await expect(runPlugin(check(nobody), update(allocated, old))).rejects.toMatchObject({
      status: {
        message: expect.stringContaining(
          'status.allocation: Forbidden: changing status.allocation or status.reservedFor requires resource="resourceclaims/binding", verb="update" permission',
        ),
      },
    });
    // Where the status is wrong besides, it is told with that.
    expect(await check(nobody).problems?.(update(allocated, old))).toMatchObject([{ field: "status.allocation" }]);
    const scheduler = mayDo((a) => a.subresource === "binding" && a.namespace === "");
    await expect(runPlugin(check(scheduler), update(allocated, old))).resolves.toBe(allocated);
    await expect(runPlugin(check(scheduler), update(reported, allocated))).rejects.toMatchObject({
      status: { message: expect.stringContaining('verb="[arbitrary-node:update]" permission') },
    });

    const driver = mayDo((a) => a.verb === "associated-node:update" && a.name === "d.example.com");
    const onNode = (node: string) => ({
      name: "system:serviceaccount:n:driver",
      groups: [],
      extra: { "authentication.kubernetes.io/node-name": [node] },
    });
    await expect(runPlugin(check(driver), update(reported, allocated, onNode("node-1")))).resolves.toBe(reported);
    await expect(runPlugin(check(driver), update(reported, allocated, onNode("node-2")))).rejects.toMatchObject({
      status: { reason: "Invalid" },
    });
  });
});
