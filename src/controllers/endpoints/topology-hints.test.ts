import { describe, expect, it } from "vitest";
import type { Node } from "../../api/types/core-v1.ts";
import type { Endpoint } from "../../api/types/discovery-v1.ts";
import { withTopologyHints, zoneSharesOf } from "./topology-hints.ts";

const node = (zone: string | undefined, cpu: string, { ready = "True", labels = {} } = {}): Node =>
  ({
    metadata: { name: "n", labels: { ...(zone ? { "topology.kubernetes.io/zone": zone } : {}), ...labels } },
    spec: {},
    status: { allocatable: { cpu }, conditions: [{ type: "Ready", status: ready }] },
  }) as unknown as Node;

const endpoint = (zone: string | undefined, ready = true): Endpoint => ({
  addresses: ["10.0.0.1"],
  conditions: { ready },
  ...(zone ? { zone } : {}),
});

/** Where the endpoints serve, or why that is not said. */
function hintsOf(zones: readonly (string | undefined)[], nodes: readonly Node[]): readonly (string | undefined)[] | string {
  const hints = withTopologyHints([{ ports: [], endpoints: zones.map((zone) => endpoint(zone)) }], zoneSharesOf(nodes));
  if (hints.kind === "none") return hints.message;
  return hints.groups.flatMap(({ endpoints }) => endpoints.map(({ hints: given }) => given?.forZones?.[0]?.name));
}

describe("the topology mode Auto", () => {
  const two = [node("a", "4"), node("b", "4")];

  it("has endpoints serve their own zone where the zones have as many as their CPU asks for", () => {
    expect(hintsOf(["a", "b", "a", "b"], two)).toEqual(["a", "b", "a", "b"]);
  });

  it("has a zone with more than its part give its first endpoints to others", () => {
    expect(hintsOf(["a", "a", "a", "b"], two)).toEqual(["b", "a", "a", "b"]);
    expect(hintsOf(["a", "a", "a", "a"], [node("a", "1"), node("b", "3")])).toEqual(["b", "b", "b", "a"]);
  });

  it("gives none where a zone would go without, and says why", () => {
    expect(hintsOf(["a"], two)).toBe("Insufficient number of endpoints (1 endpoints, 2 zones)");
    expect(hintsOf(["a", "b"], [node("a", "1"), node("b", "9")])).toBe(
      "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold (2 endpoints, 2 zones)",
    );
    expect(hintsOf(["a", undefined], two)).toBe("One or more endpoints do not have a zone specified");
    const insufficient = "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes";
    expect(hintsOf(["a", "b"], [...two, node(undefined, "4")])).toBe(insufficient);
    expect(hintsOf(["a", "b"], [...two, node("c", "0")])).toBe(insufficient);
    expect(hintsOf(["a", "a"], [node("a", "4"), node("a", "4")])).toBe(insufficient);
  });

  it("counts neither nodes of the control plane nor those that are not ready", () => {
    const others = [node(undefined, "4", { ready: "False" }), node("c", "4", { labels: { "node-role.kubernetes.io/control-plane": "" } })];
    expect(hintsOf(["a", "b"], [...two, ...others])).toEqual(["a", "b"]);
  });

  it("leaves endpoints that are not ready without a hint", () => {
    const groups = [{ ports: [], endpoints: [endpoint("a"), endpoint("b"), endpoint("a", false)] }];
    const hints = withTopologyHints(groups, zoneSharesOf(two));
    expect(hints.kind === "hinted" && hints.groups[0]?.endpoints.map(({ hints: given }) => given?.forZones?.[0]?.name)).toEqual([
      "a",
      "b",
      undefined,
    ]);
  });
});
