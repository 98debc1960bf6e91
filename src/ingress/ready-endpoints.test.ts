import { describe, expect, it } from "vitest";
import { readyEndpoints } from "./ready-endpoints.ts";

const metadata = { namespace: "d", name: "web", uid: "u", resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" };
const kind = { apiVersion: "v1", kind: "Service" } as const;
const service = { ...kind, metadata, spec: { ipFamilies: ["IPv4"], ports: [{ name: "web", port: 80 }] } };
const slice = {
  ...({ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", metadata } as const),
  addressType: "IPv4" as const,
  ports: [{ name: "web", port: 8080 }],
  endpoints: [{ addresses: ["10.0.0.1"] }, { addresses: ["10.0.0.2"], conditions: { ready: false } }],
};

describe("readyEndpoints", () => {
  it("finds them by the port's number and name", () => {
    const ready = [{ address: "10.0.0.1", port: 8080, key: "10.0.0.1:8080" }];
    expect(readyEndpoints(service, 80, [slice])).toEqual(ready);
    expect(readyEndpoints(service, "web", [slice])).toEqual(ready);
    expect(readyEndpoints(service, 81, [slice])).toEqual([]);
  });

  it("finds none in a slice whose last endpoint is gone: the server writes null for both lists", () => {
    expect(readyEndpoints(service, 80, [{ ...slice, ports: null, endpoints: null }])).toEqual([]);
  });
});
