// Objects for the tests of this folder.
import type { IPAMBlock, IPAMBlockSpec, IPPool } from "./resources.ts";

let number = 0;

export function poolObject(name: string, spec: IPPool["spec"], createdSecond = number++): IPPool {
  const second = String(createdSecond % 60).padStart(2, "0");
  const minute = String(Math.floor(createdSecond / 60) % 60).padStart(2, "0");
  const creationTimestamp = `2026-01-01T00:${minute}:${second}Z`;
  return {
    apiVersion: "crd.projectcalico.org/v1",
    kind: "IPPool",
    metadata: { name, uid: `uid-${name}`, resourceVersion: "1", creationTimestamp },
    spec,
  };
}

export function blockObject(spec: IPAMBlockSpec): IPAMBlock {
  const name = spec.cidr.replaceAll(/[.:/]/g, "-");
  return {
    apiVersion: "crd.projectcalico.org/v1",
    kind: "IPAMBlock",
    metadata: { name, uid: `uid-${name}`, resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" },
    spec,
  };
}
