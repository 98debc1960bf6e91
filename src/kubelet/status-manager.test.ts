import { describe, expect, it } from "vitest";
import { statusPatch } from "./status-manager.ts";

describe("statusPatch()", () => {
  it("is nothing when nothing differs, whatever the order of keys", () => {
    expect(statusPatch({ phase: "Running", podIP: "10.0.0.1" }, { podIP: "10.0.0.1", phase: "Running" })).toBeUndefined();
  });

  it("sends what changed and removes what went", () => {
    expect(statusPatch({ phase: "Pending", reason: "x" }, { phase: "Running" })).toEqual({ phase: "Running", reason: null });
  });

  it("replaces addresses as a whole, which would be merged otherwise", () => {
    const patch = statusPatch({ podIPs: [{ ip: "10.0.0.1" }] }, { podIPs: [{ ip: "10.0.0.2" }] });
    expect(patch).toEqual({ podIPs: [{ ip: "10.0.0.2" }, { $patch: "replace" }] });
  });

  it("sends only the kubelet's own conditions, with fields they lose", () => {
    const gate = { type: "example.com/gate", status: "False" };
    const before = { conditions: [{ type: "Ready", status: "False", reason: "ContainersNotReady" }, gate] };
    const after = {
      conditions: [
        { ...gate, status: "True" },
        { type: "Ready", status: "True" },
      ],
    };
    expect(statusPatch(before, after)).toEqual({ conditions: [{ type: "Ready", status: "True", reason: null }] });
  });
});
