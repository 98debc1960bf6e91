import { describe, expect, it } from "vitest";
import { analyzeRules } from "../api/cel/rule-compiler.ts";
import { compileSchemaRules } from "../api/cel/validate-rules.ts";
import { compileSchema } from "../api/structural/compile-schema.ts";
import type { CustomResourceDefinition } from "../api/types/apiextensions-v1.ts";
import { validateDefinition } from "../api/validation/custom-resource-definition.ts";
import { assignNext, newBlock } from "./block.ts";
import { calicoDefinitions } from "./definitions.ts";

const schemaOf = (kind: string) => {
  const definition = calicoDefinitions.find(({ spec }) => spec.names.kind === kind);
  return compileSchema(definition?.spec.versions[0]?.schema?.openAPIV3Schema, { compileRules: compileSchemaRules });
};
const object = (kind: string, spec: object) => ({ apiVersion: "crd.projectcalico.org/v1", kind, metadata: { name: "x" }, spec });
const problems = (kind: string, spec: object): readonly string[] =>
  schemaOf(kind)
    .validate(object(kind, spec))
    .map(({ message }) => message);

describe("Calico's definitions", () => {
  it.each(calicoDefinitions.map((definition) => [definition.spec.names.plural, definition] as const))(
    "%s can be an object's",
    (_name, given) => {
      const definition = { ...given, status: { conditions: [], storedVersions: ["v1"] } } as unknown as CustomResourceDefinition; // as it is stored
      expect(validateDefinition(definition, { analyze: analyzeRules }).map(({ message }) => message)).toEqual([]);
    },
  );

  it("take objects of an existing installation as they are", () => {
    const pool = {
      ...{ allowedUses: ["Workload", "Tunnel"], blockSize: 26, cidr: "192.168.0.0/16", ipipMode: "Never", vxlanMode: "CrossSubnet" },
      ...{ natOutgoing: true, nodeSelector: "all()", assignmentMode: "Automatic", disabled: false, disableBGPExport: false },
    };
    const old = { cidr: "10.0.0.0/8", ipip: { enabled: true, mode: "cross-subnet" }, "nat-outgoing": true };
    for (const spec of [pool, old]) {
      const { object: decoded, unknown } = schemaOf("IPPool").decode(object("IPPool", spec));
      expect(unknown).toEqual([]);
      expect(decoded["spec"]).toMatchObject(spec);
      expect(problems("IPPool", spec)).toEqual([]);
    }
    const block = assignNext(newBlock("10.0.0.0/26", "a"), { handle_id: "h", secondary: { node: "a" } })?.block;
    expect(block && problems("IPAMBlock", block)).toEqual([]);
    expect(problems("BlockAffinity", { cidr: "10.0.0.0/26", node: "a", state: "confirmed", deleted: "false", type: "host" })).toEqual([]);
    expect(problems("IPAMHandle", { handleID: "h", block: { "10.0.0.0/26": 1 }, deleted: false })).toEqual([]);
    expect(problems("IPAMConfig", { strictAffinity: true, maxBlocksPerHost: 20 })).toEqual([]);
    const peer = {
      asNumber: 64_567,
      nodeSelector: "rack == 'rack-1'",
      peerIP: "192.20.30.40",
      password: { secretKeyRef: { name: "s", key: "k" } },
    };
    expect(problems("BGPPeer", peer)).toEqual([]);
    expect(problems("BGPPeer", { nodeSelector: "all()", peerSelector: "has(reflector)" })).toEqual([]);
    const configuration = { asNumber: 63_400, nodeToNodeMeshEnabled: true, listenPort: 178, serviceClusterIPs: [{ cidr: "10.96.0.0/12" }] };
    expect(problems("BGPConfiguration", configuration)).toEqual([]);
  });

  it.each([
    [{}, "spec.cidr: Required value"],
    [{ cidr: "10.0.0.0" }, 'spec.cidr: Invalid value: "10.0.0.0": must be a range of addresses, such as 10.244.0.0/16'],
    [{ cidr: "10.0.0.0/8", vxlanMode: "Sometimes" }, 'spec.vxlanMode: Unsupported value: "Sometimes"'],
    [
      { cidr: "10.0.0.0/8", vxlanMode: "Always", ipipMode: "CrossSubnet" },
      "spec: Invalid value: ipipMode and vxlanMode exclude each other",
    ],
  ])("refuse the pool %j", (spec, message) => {
    expect(problems("IPPool", spec)[0]).toContain(message);
  });

  it.each([
    [{}, "a peer has either an address (peerIP) or is nodes that are chosen (peerSelector)"],
    [{ peerIP: "192.0.2.1", asNumber: 1, peerSelector: "all()" }, "a peer has either an address (peerIP) or is nodes that are chosen"],
    [{ peerIP: "192.0.2.1" }, "a peer with an address has an asNumber"],
    [{ peerIP: "192.0.2.1", asNumber: 0 }, "should be greater than or equal to 1"],
    [{ peerIP: "192.0.2.1", asNumber: 1, node: "a", nodeSelector: "all()" }, "node and nodeSelector exclude each other"],
  ])("refuse the BGP peer %j", (spec, message) => {
    expect(problems("BGPPeer", spec).join()).toContain(message);
  });

  it.each([
    [{ cidr: "10.9.0.0/16" }, "a pool keeps its range"],
    [{ cidr: "10.0.0.0/16", blockSize: 27 }, "a pool keeps the size of its blocks"],
  ])("refuse the change of a pool to %j", (spec, message) => {
    const before = object("IPPool", { cidr: "10.0.0.0/16" });
    const found = schemaOf("IPPool").validateUpdate(object("IPPool", spec), before);
    expect(found.map((each) => each.message)).toEqual([expect.stringContaining(message)]);
    expect(schemaOf("IPPool").validateUpdate(object("IPPool", { cidr: "10.0.0.0/16", disabled: true }), before)).toEqual([]);
  });
});
