import { describe, expect, it } from "vitest";
import type { AllocationResult, DeviceClass, ResourceClaim, ResourceSlice } from "../../api/types/resource-v1.ts";
import { AllocatedDevices } from "./allocated-devices.ts";
import { allocationOf } from "./allocation-result.ts";
import { poolIdOf, poolsFor } from "./device-pools.ts";
import { DeviceSearch } from "./device-search.ts";
import { DeviceSelectors } from "./device-selectors.ts";
import { driver, exactly, selecting, testClaim, testClass, testDevice, testSlice } from "./test-devices.ts";

interface Given {
  readonly slices: readonly ResourceSlice[];
  readonly classes?: readonly DeviceClass[];
  readonly allocated?: readonly AllocationResult[];
  readonly labels?: Record<string, string>;
  readonly checkTime?: () => void;
}

/** What the claims get on node "a". */
function allocate(claims: readonly ResourceClaim[], { slices, classes = [testClass("gpu")], allocated = [], labels = {}, ...more }: Given) {
  const node = { metadata: { name: "a", uid: "", resourceVersion: "", creationTimestamp: "", labels } };
  const inUse = new AllocatedDevices();
  for (const each of allocated) inUse.add(each);
  const search = new DeviceSearch(claims, {
    node,
    pools: poolsFor(node, slices, (id) => slices.filter((slice) => poolIdOf(slice) === id)),
    allocated: inUse,
    classOf: (name) => classes.find((each) => each.metadata.name === name),
    selectors: new DeviceSelectors(),
    checkTime: more.checkTime ?? (() => undefined),
  });
  return search.run()?.map((picks, i) => allocationOf(claims[i] as ResourceClaim, picks, "a"));
}

/** "request=device" of every claim; undefined where nothing can be allocated. */
const found = (claims: readonly ResourceClaim[], given: Given): readonly string[] | undefined =>
  allocate(claims, given)?.flatMap(({ devices }) => devices?.results?.map(({ request, device }) => `${request}=${device}`) ?? []);

const three = [
  testSlice("s", [testDevice("d1", { size: { int: 1 } }), testDevice("d2", { size: { int: 2 } }), testDevice("d3", { size: { int: 2 } })]),
];
const size = (n: number) => selecting(`device.attributes["${driver}"].size == ${n}`);

describe("DeviceSearch: which devices", () => {
  it("takes the first that the class and the request select, and none that is in use", () => {
    expect(found([testClaim("c", [exactly("r", size(2))])], { slices: three })).toEqual(["r=d2"]);
    const classes = [testClass("gpu", selecting(`device.driver == "${driver}" && device.attributes["${driver}"].size > 1`))];
    expect(found([testClaim("c", [exactly("r")])], { slices: three, classes })).toEqual(["r=d2"]);
    const allocated = [{ devices: { results: [{ driver, pool: "a", device: "d2", request: "x" }] } }];
    expect(found([testClaim("c", [exactly("r", size(2))])], { slices: three, allocated })).toEqual(["r=d3"]);
    expect(found([testClaim("c", [exactly("r", { ...size(2), count: 2 })])], { slices: three, allocated })).toBeUndefined();
  });

  it("goes back where an earlier request has taken what a later one needs", () => {
    const claims = [testClaim("c", [exactly("any"), exactly("small", size(1))]), testClaim("e", [exactly("more")])];
    expect(found(claims, { slices: three })).toEqual(["any=d2", "small=d1", "more=d3"]);
  });

  it("gives all devices, or none when one of them is in use", () => {
    const all = testClaim("c", [exactly("r", { ...size(2), allocationMode: "All" })]);
    expect(found([all], { slices: three })).toEqual(["r=d2", "r=d3"]);
    const allocated = [{ devices: { results: [{ driver, pool: "a", device: "d3", request: "x" }] } }];
    expect(found([all], { slices: three, allocated })).toBeUndefined();
    expect(found([testClaim("c", [exactly("r", { ...size(9), allocationMode: "All" })])], { slices: three })).toBeUndefined();
  });

  it("takes the first alternative for which there are devices", () => {
    const alternative = (name: string, count: number, n: number) => ({
      name,
      deviceClassName: "gpu",
      allocationMode: "ExactCount" as const,
      count,
      ...size(n),
    });
    const claim = testClaim("c", [{ name: "r", firstAvailable: [alternative("two", 2, 1), alternative("one", 1, 1)] }]);
    expect(found([claim], { slices: three })).toEqual(["r/one=d1"]);
    const preferred = testClaim("c", [{ name: "r", firstAvailable: [alternative("two", 2, 2), alternative("one", 1, 1)] }]);
    expect(found([preferred], { slices: three })).toEqual(["r/two=d2", "r/two=d3"]);
  });

  it("lets administrators take part in what others use, but not twice for one claim", () => {
    const allocated = [{ devices: { results: [{ driver, pool: "a", device: "d1", request: "x" }] } }];
    const admin = exactly("r", { ...size(1), adminAccess: true });
    const given = { slices: three, allocated };
    expect(allocate([testClaim("c", [admin])], given)?.[0]?.devices?.results).toEqual([
      { request: "r", driver, pool: "a", device: "d1", adminAccess: true },
    ]);
    expect(found([testClaim("c", [admin, { ...admin, name: "again" }])], given)).toBeUndefined();
  });

  it("finds nothing beyond what a claim's status can hold, unless an alternative needs less", () => {
    const many = [
      testSlice(
        "s",
        Array.from({ length: 40 }, (_, i) => testDevice(`d${String(i).padStart(2, "0")}`)),
      ),
    ];
    expect(() => found([testClaim("c", [exactly("r", { count: 33 })])], { slices: many })).toThrow(
      "claim default/c: number of requested devices 33 exceeds the claim limit of 32",
    );
    const option = (name: string, count: number) => ({ name, deviceClassName: "gpu", allocationMode: "ExactCount" as const, count });
    const claim = testClaim("c", [{ name: "r", firstAvailable: [option("much", 30), option("little", 1)] }, exactly("s", { count: 20 })]);
    expect(found([claim], { slices: many })).toHaveLength(21);
  });
});

describe("DeviceSearch: constraints, taints, counters and capacities", () => {
  it("gives devices with the same value of an attribute, or with different ones", () => {
    const match = { constraints: [{ matchAttribute: `${driver}/size` }] };
    expect(found([testClaim("c", [exactly("r", { count: 2 })], match)], { slices: three })).toEqual(["r=d2", "r=d3"]);
    const distinct = { constraints: [{ distinctAttribute: `${driver}/size`, requests: ["x", "y"] }] };
    expect(found([testClaim("c", [exactly("x"), exactly("y"), exactly("z")], distinct)], { slices: three })).toEqual([
      "x=d1",
      "y=d2",
      "z=d3",
    ]);
    const missing = { constraints: [{ matchAttribute: "other.example.com/size" }] };
    expect(found([testClaim("c", [exactly("r")], missing)], { slices: three })).toBeUndefined();
  });

  it("keeps claims off tainted devices that they do not tolerate", () => {
    const taints = [{ key: "broken", effect: "NoSchedule" as const }];
    const slices = [testSlice("s", [testDevice("d1", {}, { taints })])];
    expect(found([testClaim("c", [exactly("r")])], { slices })).toBeUndefined();
    const tolerations = [{ key: "broken", operator: "Exists" as const }];
    expect(allocate([testClaim("c", [exactly("r", { tolerations })])], { slices })?.[0]?.devices?.results?.[0]).toMatchObject({
      device: "d1",
      tolerations,
    });
    const harmless = [testSlice("s", [testDevice("d1", {}, { taints: [{ key: "x", effect: "None" }] })])];
    expect(found([testClaim("c", [exactly("r")])], { slices: harmless })).toEqual(["r=d1"]);
  });

  it("does not draw more from shared counters than they have", () => {
    const pool = { name: "a", generation: 1, resourceSliceCount: 2 };
    const sharedCounters = [{ name: "gpu", counters: { memory: { value: "8Gi" } } }];
    const part = (name: string, memory: string) =>
      testDevice(name, {}, { consumesCounters: [{ counterSet: "gpu", counters: { memory: { value: memory } } }] });
    const slices = [
      testSlice("counters", [], { pool, sharedCounters }),
      testSlice("devices", [part("big", "6Gi"), part("half", "4Gi"), part("rest", "4Gi")], { pool }),
    ];
    expect(found([testClaim("c", [exactly("r", { count: 2 })])], { slices })).toEqual(["r=half", "r=rest"]);
    const allocated = [{ devices: { results: [{ driver, pool: "a", device: "half", request: "x" }] } }];
    expect(found([testClaim("c", [exactly("r")])], { slices, allocated })).toEqual(["r=rest"]);
    expect(found([testClaim("c", [exactly("r")])], { slices: slices.slice(1), allocated })).toBeUndefined();
  });

  it("shares a device as long as its capacity lasts, rounded as its policy says", () => {
    const requestPolicy = { default: "1Gi", validRange: { min: "1Gi", step: "1Gi", max: "6Gi" } };
    const device = testDevice("nic", {}, { allowMultipleAllocations: true, capacity: { bandwidth: { value: "8Gi", requestPolicy } } });
    const slices = [testSlice("s", [device])];
    const asking = (name: string, amount?: string) =>
      testClaim(name, [exactly("r", amount ? { capacity: { requests: { bandwidth: amount } } } : {})]);
    const [first, second] = allocate([asking("c", "1500Mi"), asking("e")], { slices }) ?? [];
    expect(first?.devices?.results?.[0]).toMatchObject({ device: "nic", consumedCapacity: { bandwidth: "2Gi" } });
    expect(second?.devices?.results?.[0]).toMatchObject({ device: "nic", consumedCapacity: { bandwidth: "1Gi" } });
    expect(first?.devices?.results?.[0]?.shareID).toMatch(/^[0-9a-f-]{36}$/);
    const allocated = [first, second].filter((each) => each !== undefined);
    expect(found([asking("f", "6Gi")], { slices, allocated })).toBeUndefined();
    expect(found([asking("f", "5Gi")], { slices, allocated })).toEqual(["r=nic"]);
    expect(found([asking("f", "7Gi")], { slices })).toBeUndefined();
    expect(found([testClaim("c", [exactly("r", { capacity: { requests: { other: "1" } } })])], { slices })).toBeUndefined();
  });

  it("counts a capacity of a device that is not shared as a whole", () => {
    const slices = [
      testSlice("s", [
        testDevice("small", {}, { capacity: { memory: { value: "4Gi" } } }),
        testDevice("big", {}, { capacity: { memory: { value: "8Gi" } } }),
      ]),
    ];
    expect(found([testClaim("c", [exactly("r", { capacity: { requests: { memory: "6Gi" } } })])], { slices })).toEqual(["r=big"]);
    expect(
      found([testClaim("c", [exactly("r", selecting(`device.capacity["${driver}"].memory.compareTo(quantity("5Gi")) > 0`))])], { slices }),
    ).toEqual(["r=big"]);
  });
});

describe("DeviceSearch: pools", () => {
  it("ignores older generations, and pools whose slices are not all there", () => {
    const generation = (n: number, resourceSliceCount: number) => ({ pool: { name: "a", generation: n, resourceSliceCount } });
    const [old, partial] = [testSlice("old", [testDevice("d1")], generation(1, 1)), testSlice("new", [testDevice("d2")], generation(2, 2))];
    const claim = testClaim("c", [exactly("r")]);
    expect(found([claim], { slices: [old, partial] })).toBeUndefined();
    expect(found([claim], { slices: [old, partial, testSlice("rest", [testDevice("d3")], generation(2, 2))] })).toEqual(["r=d2"]);
    const all = testClaim("c", [exactly("r", { allocationMode: "All" })]);
    expect(() => found([all], { slices: [partial] })).toThrow(
      `claim default/c, request r: asks for all devices, but resource pool ${driver}/a is currently being updated`,
    );
    const elsewhere = testSlice("moved", [testDevice("d9")], {
      ...generation(3, 1),
      nodeSelector: { nodeSelectorTerms: [{ matchExpressions: [{ key: "x", operator: "Exists" }] }] },
    });
    expect(found([claim], { slices: [old, elsewhere] })).toBeUndefined();
  });

  it("does not use a pool with two devices of one name", () => {
    const slices = [testSlice("s", [testDevice("d1"), testDevice("d1")])];
    expect(found([testClaim("c", [exactly("r")])], { slices })).toBeUndefined();
    expect(() => found([testClaim("c", [exactly("r", { allocationMode: "All" })])], { slices })).toThrow("is currently invalid");
  });

  it("says in the allocation where its devices can be used", () => {
    const nodeSelector = { nodeSelectorTerms: [{ matchExpressions: [{ key: "zone", operator: "In" as const, values: ["z"] }] }] };
    const claim = testClaim("c", [exactly("r")]);
    const labels = { zone: "z" };
    const ofName = { nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "In", values: ["a"] }] }] };
    const selectorOf = (slice: ResourceSlice, of = claim) => allocate([of], { slices: [slice], labels })?.[0]?.nodeSelector;
    expect(selectorOf(testSlice("s", [testDevice("d")], { nodeSelector }))).toEqual(nodeSelector);
    expect(selectorOf(testSlice("s", [testDevice("d")], { allNodes: true }))).toBeUndefined();
    expect(selectorOf(testSlice("s", [testDevice("d")]))).toEqual(ofName);
    expect(selectorOf(testSlice("s", [testDevice("d", {}, { bindsToNode: true })], { allNodes: true }))).toEqual(ofName);
    const perDevice = testSlice("s", [testDevice("far", {}, { nodeName: "b" }), testDevice("near", {}, { nodeSelector })], {
      perDeviceNodeSelection: true,
    });
    expect(selectorOf(perDevice)).toEqual(nodeSelector);
    expect(found([claim], { slices: [perDevice] })).toBeUndefined();
    expect(found([claim], { slices: [perDevice], labels })).toEqual(["r=near"]);
  });
});

describe("DeviceSearch: configuration and problems", () => {
  it("hands on the configuration of classes, then that of the claim", () => {
    const opaque = (x: number) => ({ opaque: { driver, parameters: { x } } });
    const classes = [testClass("gpu", { config: [opaque(1)] }), testClass("nic", { config: [opaque(2)] })];
    const requests = [exactly("a"), exactly("b", { deviceClassName: "nic" }), exactly("c")];
    const config = [{ ...opaque(3) }, { requests: ["b"], ...opaque(4) }];
    const [allocation] = allocate([testClaim("c", requests, { config })], { slices: three, classes }) ?? [];
    expect(allocation?.devices?.config).toEqual([
      { source: "FromClass", requests: ["a", "c"], ...opaque(1) },
      { source: "FromClass", requests: ["b"], ...opaque(2) },
      { source: "FromClaim", ...opaque(3) },
      { source: "FromClaim", requests: ["b"], ...opaque(4) },
    ]);
  });

  it("says which selector cannot be evaluated, and finds unknown domains empty", () => {
    const asking = (expression: string) => () => found([testClaim("c", [exactly("r", selecting(expression))])], { slices: three });
    expect(asking(`device.attributes["${driver}"].colour == "red"`)).toThrow(
      "claim default/c: selector #0: CEL runtime error: no such key: colour",
    );
    expect(asking("device.nothing")).toThrow("claim default/c: selector #0: CEL compile error: compilation failed:");
    expect(asking(`"other.example.com" in device.attributes || has(device.attributes["other.example.com"].x)`)()).toBeUndefined();
    expect(asking(`device.attributes["${driver}"].size`)).toThrow("CEL result of type int could not be converted to bool");
    expect(() => found([testClaim("c", [exactly("r", { deviceClassName: "none" })])], { slices: three })).toThrow(
      'claim default/c, request r: could not retrieve device class none: deviceclass.resource.k8s.io "none" not found',
    );
  });

  it("ends soon where devices that are alike cannot satisfy a claim, and at its deadline otherwise", () => {
    let checks = 0;
    const checkTime = (): void => {
      if (++checks > 100) throw new Error("too long");
    };
    // The last request can never be satisfied beside the others, whichever of the 20 like devices they get.
    const alike = [
      testSlice(
        "s",
        Array.from({ length: 20 }, (_, i) => testDevice(`d${i}`, { group: { string: "x" } })),
      ),
    ];
    const constraints = [{ distinctAttribute: `${driver}/group`, requests: ["y", "z"] }];
    const claim = testClaim("c", [exactly("x", { count: 8 }), exactly("y"), exactly("z")], { constraints });
    expect(found([claim], { slices: alike, checkTime })).toBeUndefined();
    const different = [
      testSlice(
        "s",
        Array.from({ length: 20 }, (_, i) => testDevice(`d${i}`, { group: { string: "x" }, id: { int: i } })),
      ),
    ];
    expect(() => found([claim], { slices: different, checkTime })).toThrow("too long");
  });
});
