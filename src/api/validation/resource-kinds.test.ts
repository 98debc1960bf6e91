// The kinds of resource.k8s.io: a few behaviours each.
import { describe, expect, it } from "vitest";
import type { FieldError } from "../meta/field-error.ts";
import type { Device, ResourceClaim, ResourceSlice, ResourceSliceSpec } from "../types/resource-v1.ts";
import { validateDeviceClass } from "./device-class.ts";
import { validateResourceClaim, validateResourceClaimTemplate, validateResourceClaimUpdate } from "./resource-claim.ts";
import { validateResourceClaimStatus } from "./resource-claim-status.ts";
import { validateResourceSlice } from "./resource-slice.ts";

const metadata = { name: "a", uid: "u", resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" };
const namespaced = { ...metadata, namespace: "n" };
const apiVersion = "resource.k8s.io/v1";
const messages = (errors: readonly FieldError[]): string[] => errors.map((error) => error.message);

const exactly = { deviceClassName: "gpu", allocationMode: "ExactCount", count: 1 } as const;
const claim = (devices: ResourceClaim["spec"]["devices"], status: ResourceClaim["status"] = {}): ResourceClaim => ({
  apiVersion,
  kind: "ResourceClaim",
  metadata: namespaced,
  spec: devices ? { devices } : {},
  status,
});
const one = claim({ requests: [{ name: "a", exactly }] });

describe("validateResourceClaim()", () => {
  it("takes a claim for nothing, whose lists the wire has as null", () => {
    const nothing = claim({ requests: null as never });
    expect(validateResourceClaim(nothing)).toEqual([]);
    expect(validateResourceClaimStatus(nothing, nothing)).toEqual([]);
    const device = { driver: "d", pool: "p", device: "x", conditions: null as never, networkData: { ips: null as never } };
    const reported = { ...nothing, status: { devices: [device] } };
    expect(validateResourceClaimStatus(reported, nothing).map((error) => error.field)).toEqual(["status.devices[0]"]);
  });

  it("asks for devices in exactly one way", () => {
    const alternative = { ...exactly, name: "b" };
    const requests = [
      { name: "a" },
      { name: "b", exactly, firstAvailable: [alternative] },
      { name: "c", firstAvailable: [alternative, alternative] },
    ];
    expect(messages(validateResourceClaim(claim({ requests })))).toEqual([
      "spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required",
      "spec.devices.requests[1]: Invalid value: null: exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set",
      'spec.devices.requests[2].firstAvailable[1]: Duplicate value: "b"',
    ]);
  });

  it("counts only where the count is exact", () => {
    const requests = [
      { name: "a", exactly: { ...exactly, count: -1 } },
      { name: "b", exactly: { ...exactly, allocationMode: "All", count: 2 } as const },
    ];
    expect(messages(validateResourceClaim(claim({ requests })))).toEqual([
      "spec.devices.requests[0].exactly.count: Invalid value: -1: must be greater than zero",
      "spec.devices.requests[1].exactly.count: Invalid value: 2: must not be specified when allocationMode is 'All'",
    ]);
  });

  it("constraints and configuration refer to requests and their alternatives", () => {
    const requests = [{ name: "a", firstAvailable: [{ ...exactly, name: "x" }] }];
    const constraints = [{ requests: ["a", "a/x", "a/y", "b"], matchAttribute: "example.com/model" }, { matchAttribute: "model" }, {}];
    const config = [{ requests: ["a/x/y"], opaque: { driver: "d.example.com", parameters: "text" as never } }, {}];
    const unknown = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
    expect(messages(validateResourceClaim(claim({ requests, constraints, config })))).toEqual([
      `spec.devices.constraints[0].requests[2]: Invalid value: "a/y": ${unknown}`,
      `spec.devices.constraints[0].requests[3]: Invalid value: "b": ${unknown}`,
      'spec.devices.constraints[1].matchAttribute: Invalid value: "model": a fully qualified name must be a domain and a name separated by a slash',
      'spec.devices.constraints[2]: Required value: exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set',
      `spec.devices.config[0].requests[0]: Invalid value: "a/x/y": ${unknown}`,
      'spec.devices.config[0].opaque.parameters: Invalid value: "<value omitted>": must be a valid JSON object',
      "spec.devices.config[1].opaque: Required value",
    ]);
  });

  it("does not look at the requests of a claim with too many", () => {
    const requests = Array.from({ length: 33 }, () => ({ name: "" }));
    expect(messages(validateResourceClaim(claim({ requests })))).toEqual([
      "spec.devices.requests: Too many: 33: must have at most 32 items",
    ]);
  });

  it("hands expressions to the check, with their place", () => {
    const seen: unknown[] = [];
    const selectors = [{ cel: { expression: "device.driver == 'x'" } }, {}];
    const errors = validateResourceClaim(claim({ requests: [{ name: "a", exactly: { ...exactly, selectors } }] }), (_errors, use) =>
      seen.push([use.purpose, use.field, use.stored]),
    );
    expect(seen).toEqual([["deviceSelector", "spec.devices.requests[0].exactly.selectors[0].cel.expression", false]]);
    expect(messages(errors)).toEqual(["spec.devices.requests[0].exactly.selectors[1].cel: Required value"]);
  });

  it("never changes", () => {
    expect(validateResourceClaimUpdate(one, one)).toEqual([]);
    expect(messages(validateResourceClaimUpdate(claim({ requests: [] }), one))).toEqual([
      'spec: Invalid value: {"Devices":{"Requests":[],"Constraints":null,"Config":null}}: field is immutable',
    ]);
    const template = { apiVersion, kind: "ResourceClaimTemplate", metadata: namespaced, spec: { spec: one.spec } } as const;
    const labelled = { ...template, spec: { metadata: { labels: { a: "b" } }, spec: one.spec } };
    expect(messages(validateResourceClaimTemplate(labelled, template))).toEqual([
      expect.stringMatching(/^spec: Invalid value: \{"labels":\{"a":"b"\}.*field is immutable$/),
    ]);
  });
});

describe("validateResourceClaimStatus()", () => {
  const result = { request: "a", driver: "d.example.com", pool: "p", device: "x" };
  const allocation = { devices: { results: [result] } };
  const allocated = { ...one, status: { allocation } };
  const consumer = { resource: "pods", name: "p", uid: "1" };

  it("reserves what is allocated", () => {
    expect(messages(validateResourceClaimStatus({ ...one, status: { reservedFor: [consumer, consumer] } }, one))).toEqual([
      'status.reservedFor[1]: Duplicate value: "1"',
      "status.reservedFor: Forbidden: may not be specified when `allocated` is not set",
    ]);
    const deleted = { ...allocated, metadata: { ...namespaced, deletionTimestamp: "2026-01-01T00:00:00Z" } };
    expect(messages(validateResourceClaimStatus({ ...deleted, status: { allocation, reservedFor: [consumer] } }, deleted))).toEqual([
      "status.reservedFor: Forbidden: new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set",
    ]);
  });

  it("an allocation is of requests of the claim, and stays", () => {
    const wrong = { ...one, status: { allocation: { devices: { results: [{ ...result, request: "b", pool: "" }] } } } };
    expect(messages(validateResourceClaimStatus(wrong, one))).toEqual([
      expect.stringContaining('status.allocation.devices.results[0].request: Invalid value: "b": must be the name of a request'),
      "status.allocation.devices.results[0].pool: Required value",
    ]);
    expect(messages(validateResourceClaimStatus(wrong, allocated))).toEqual([
      expect.stringMatching(/^status\.allocation: Invalid value: \{"Devices":.*field is immutable$/),
    ]);
    expect(validateResourceClaimStatus(allocated, allocated)).toEqual([]);
  });

  it("drivers speak of allocated devices", () => {
    const { request: _, ...device } = result;
    const networkData = { ips: ["10.0.0.1/24", "10.0.0.001/24", "x"] };
    const devices = [
      { ...device, networkData },
      { ...device, device: "y", shareID: "z" },
    ];
    expect(messages(validateResourceClaimStatus({ ...one, status: { allocation, devices } }, allocated))).toEqual([
      'status.devices[0].networkData.ips[1]: Invalid value: "10.0.0.001/24": must be in canonical form ("10.0.0.1/24")',
      'status.devices[0].networkData.ips[2]: Invalid value: "x": must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)',
      'status.devices[1].shareID: Invalid value: "z": error validating uid: invalid UUID length: 1',
      'status.devices[1]: Invalid value: {"Driver":"d.example.com","Pool":"p","Device":"y","ShareID":"z"}: must be an allocated device in the claim',
    ]);
  });
});

describe("validateDeviceClass()", () => {
  it("knows extended resources", () => {
    const spec = { extendedResourceName: "cpu", config: [{ opaque: { driver: "", parameters: {} } }] };
    expect(messages(validateDeviceClass({ apiVersion, kind: "DeviceClass", metadata: { ...metadata, namespace: "" }, spec }))).toEqual([
      "spec.config[0].opaque.driver: Required value",
      'spec.extendedResourceName: Invalid value: "cpu": must be a valid extended resource name',
    ]);
  });
});

describe("validateResourceSlice()", () => {
  const pool = { name: "p", generation: 1, resourceSliceCount: 1 };
  const slice = (spec: Partial<ResourceSliceSpec>): ResourceSlice => ({
    apiVersion,
    kind: "ResourceSlice",
    metadata: { ...metadata, namespace: "" },
    spec: { driver: "d.example.com", pool, ...spec },
  });
  const devices = (...list: readonly Device[]): string[] => messages(validateResourceSlice(slice({ allNodes: true, devices: list })));

  it("says where its devices are, once", () => {
    const oneOf = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    expect(messages(validateResourceSlice(slice({})))).toEqual([`spec: Required value: ${oneOf}`]);
    expect(messages(validateResourceSlice(slice({ nodeName: "n", allNodes: true })))).toEqual([
      `spec: Invalid value: "{\`nodeName\`, \`allNodes\`}": ${oneOf}, but multiple fields are set`,
    ]);
    expect(messages(validateResourceSlice(slice({ nodeName: "m" }), slice({ nodeName: "n" })))).toEqual([
      'spec.nodeName: Invalid value: "m": field is immutable',
    ]);
  });

  it("attributes have one value each", () => {
    const attributes = { model: { string: "x", bool: true }, "example.com/version": { version: "1.2" }, "": { int: 1 } };
    expect(devices({ name: "d", attributes })).toEqual([
      'spec.devices[0].attributes[model]: Invalid value: {"IntValue":null,"BoolValue":true,"StringValue":"x","VersionValue":null,"IntValues":null,"BoolValues":null,"StringValues":null,"VersionValues":null}: exactly one value must be specified',
      'spec.devices[0].attributes[example.com/version].version: Invalid value: "1.2": must be a string compatible with semver.org spec 2.0.0',
      expect.stringMatching(/^spec\.devices\[0\]\.attributes: Invalid value: ""/),
    ]);
  });

  it("only shared capacities have a policy, and it fits them", () => {
    const policy = { default: "3", validRange: { min: "1", max: "9", step: "3" } };
    expect(devices({ name: "d", capacity: { memory: { value: "8", requestPolicy: policy } } })).toEqual([
      "spec.devices[0].capacity[memory].requestPolicy: Forbidden: allowMultipleAllocations must be true",
    ]);
    const field = "spec.devices[0].capacity[memory].requestPolicy";
    expect(devices({ name: "d", allowMultipleAllocations: true, capacity: { memory: { value: "8", requestPolicy: policy } } })).toEqual([
      `${field}.validRange.max: Invalid value: "9": max is larger than capacity value: 8`,
      `${field}.validRange.step: Invalid value: "3": value is not a multiple of a given step (3) from (1)`,
      `${field}.validRange.step: Invalid value: "9": value is not a multiple of a given step (3) from (1)`,
    ]);
    const options = { default: "2", validValues: ["4", "1", "10"] };
    expect(devices({ name: "d", allowMultipleAllocations: true, capacity: { memory: { value: "8", requestPolicy: options } } })).toEqual([
      `${field}.validValues[1]: Invalid value: "1": values must be sorted in ascending order`,
      `${field}.validValues[2]: Invalid value: "10": option is larger than capacity value: 8`,
      `${field}.validValues: Invalid value: "2": default value is not valid according to the requestPolicy`,
    ]);
  });

  it("taints make a slice shorter", () => {
    const taints = [{ key: "k", effect: "NoSchedule" } as const];
    const many = Array.from({ length: 65 }, (_, i) => ({ name: `d${i}` }));
    expect(devices(...many)).toEqual([]);
    expect(devices({ name: "t", taints }, ...many)).toEqual(["spec.devices: Too many: 66: must have at most 64 items"]);
    const refused = { key: "", effect: "Never" } as never;
    expect(devices({ name: "t", taints: [refused] })).toEqual([
      expect.stringContaining("spec.devices[0].taints[0].key: Invalid value"),
      expect.stringContaining("spec.devices[0].taints[0].key: Invalid value"),
      'spec.devices[0].taints[0].effect: Unsupported value: "Never": supported values: "NoExecute", "NoSchedule", "None"',
    ]);
  });

  it("conditions for binding come with those for giving up", () => {
    expect(devices({ name: "d", bindingConditions: ["a", "a"] })).toEqual([
      'spec.devices[0].bindingConditions[1]: Duplicate value: "a"',
      "spec.devices[0].bindingFailureConditions: Invalid value: null: bindingFailureConditions are required to use bindingConditions",
    ]);
  });
});
