import { describe, expect, it } from "vitest";
import { invalidValue } from "../../api/meta/field-error.ts";
import { invalid, type StatusError, serviceUnavailable } from "../../api/meta/status-error.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import { VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import { StatusManager, statusPatch } from "./status-manager.ts";

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

describe("StatusManager", () => {
  const pod = { metadata: { uid: "old", name: "web", namespace: "default" }, status: { phase: "Pending" } } as Pod;

  /** How often a status is sent in a minute when every answer is that error. */
  async function attempts(error: StatusError): Promise<number> {
    let sent = 0;
    const patch = async () => {
      sent++;
      throw error;
    };
    const clock = new VirtualClock();
    const client = { patch } as unknown as Client; // nothing else is called
    const manager = new StatusManager({ client, clock, logger: silentLogger, apiPodOf: () => pod });
    manager.start();
    manager.set(pod, { phase: "Running" });
    await clock.advance(60_000);
    await manager.stop();
    return sent;
  }

  it("tries again while the server is away", async () => {
    expect(await attempts(serviceUnavailable("away"))).toBeGreaterThan(3);
  });

  it("gives up when another pod has taken the name", async () => {
    const error = invalidValue("metadata.uid", "old", "field is immutable");
    expect(await attempts(invalid({ group: "", kind: "Pod" }, "web", [error]))).toBe(1);
  });
});
