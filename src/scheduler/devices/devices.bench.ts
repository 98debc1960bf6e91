// Finding a device on each of 100 nodes with 8 of them, half of which are taken: what a pod with a claim costs the scheduler.
import { bench, describe } from "vitest";
import { AllocatedDevices } from "./allocated-devices.ts";
import { poolsFor } from "./device-pools.ts";
import { DeviceSearch } from "./device-search.ts";
import { DeviceSelectors } from "./device-selectors.ts";
import { driver, exactly, selecting, testClaim, testClass, testDevice, testSlice } from "./test-devices.ts";

const nodes = Array.from({ length: 100 }, (_, n) => {
  const name = `n${n}`;
  const devices = Array.from({ length: 8 }, (_, i) => testDevice(`d${i}`, { model: { string: "a100" }, index: { int: i } }));
  const slice = testSlice(name, devices, { nodeName: name, pool: { name, generation: 1, resourceSliceCount: 1 } });
  const node = { metadata: { name, uid: "", resourceVersion: "", creationTimestamp: "" } };
  return { node, pools: poolsFor(node, [slice], () => [slice]) };
});
const allocated = new AllocatedDevices();
for (const { node } of nodes)
  for (let i = 0; i < 4; i++)
    allocated.add({ devices: { results: [{ driver, pool: node.metadata.name, device: `d${i}`, request: "r" }] } });
const selectors = new DeviceSelectors();
const gpu = testClass("gpu", selecting(`device.driver == "${driver}"`));
const model = selecting(`device.attributes["${driver}"].model == "a100"`);

describe("devices for a claim on 100 nodes", () => {
  for (const count of [1, 4, 5])
    bench(`${count} of 8`, () => {
      const claim = testClaim("c", [exactly("r", { ...model, count })]);
      for (const { node, pools } of nodes)
        new DeviceSearch([claim], { node, pools, allocated, classOf: () => gpu, selectors, checkTime: () => undefined }).run();
    });
});
