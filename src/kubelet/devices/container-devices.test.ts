import { expect, test } from "vitest";
import { containerDevices } from "./container-devices.ts";
import type { ContainerAllocateResponse } from "./generated/device-plugin-v1beta1.ts";

const nothing: ContainerAllocateResponse = { envs: {}, mounts: [], devices: [], annotations: {}, cdiDevices: [] };

test("of several plugins that set the same thing the first counts", () => {
  const device = { containerPath: "/dev/x", hostPath: "/dev/a", permissions: "r" };
  const mount = { containerPath: "/x", hostPath: "/a", readOnly: false };
  const given = containerDevices([
    { ...nothing, envs: { X: "1" }, devices: [device], mounts: [mount], cdiDevices: [{ name: "v/c=d" }] },
    {
      ...{ envs: { X: "2", Y: "3" }, annotations: { note: "n" }, cdiDevices: [{ name: "v/c=d" }, { name: "v/c=e" }] },
      devices: [{ ...device, hostPath: "/dev/b" }],
      mounts: [{ ...mount, hostPath: "/b" }],
    },
  ]);
  expect(Object.fromEntries(given.envs)).toEqual({ X: "1", Y: "3" });
  expect(given).toMatchObject({
    ...{ devices: [device], annotations: { note: "n" }, cdiDevices: [{ name: "v/c=d" }, { name: "v/c=e" }] },
    mounts: [{ containerPath: "/x", hostPath: "/a", readonly: false }],
  });
});
