import { beforeEach, describe, expect, it } from "vitest";
import { endpointslices, pods, services } from "../../api/resources.generated.ts";
import { MemoryReader } from "../admission/memory-reader.ts";
import { serviceDestination } from "./service-target.ts";

let reader: MemoryReader;
const destination = (port: string, service = "web"): unknown =>
  serviceDestination(
    { services: reader.informer(services), endpointSlices: reader.informer(endpointslices), pods: reader.informer(pods) },
    { namespace: "ns", service, port },
  );

function putEndpoint(address: string, more: object): void {
  const labels = { "kubernetes.io/service-name": "web" };
  reader.put(endpointslices, {
    metadata: { namespace: "ns", name: "web-1", labels },
    addressType: "IPv4",
    ports: [{ name: "http", port: 8080 }],
    endpoints: [{ addresses: [address], conditions: { ready: true }, ...more }],
  });
}

beforeEach(() => {
  reader = new MemoryReader();
  reader.put(services, { metadata: { namespace: "ns", name: "web" }, spec: { ports: [{ name: "http", port: 80 }] } });
  reader.put(pods, { metadata: { namespace: "ns", name: "p" }, spec: { containers: [] }, status: { podIPs: [{ ip: "10.0.0.5" }] } });
});

describe("serviceDestination()", () => {
  it("is a pod of the service's port, by the port's name or number", () => {
    putEndpoint("10.0.0.5", { targetRef: { kind: "Pod", namespace: "ns", name: "p" } });
    expect(destination("http")).toEqual({ address: "10.0.0.5", port: 8080 });
    expect(destination("80")).toEqual({ address: "10.0.0.5", port: 8080 });
  });

  it("refuses ports that are not there, and a named port that is not named", () => {
    putEndpoint("10.0.0.5", { targetRef: { kind: "Pod", namespace: "ns", name: "p" } });
    expect(() => destination("81")).toThrow('no service port 81 found for service "web"');
    expect(() => destination("nope")).toThrow('no endpoints available for service "web"');
    expect(() => destination("")).toThrow('no endpoints available for service "web"');
    expect(() => destination("http", "other")).toThrow('services "other" not found');
  });

  it("finds no service whose endpoints nobody has told of", () => {
    expect(() => destination("http")).toThrow('services "web" not found');
  });

  it.each([
    ["not ready", "10.0.0.5", { conditions: { ready: false }, targetRef: { kind: "Pod", name: "p" } }],
    ["no pod", "10.0.0.5", {}],
    ["a pod of another namespace", "10.0.0.5", { targetRef: { kind: "Pod", namespace: "other", name: "p" } }],
    ["not an address of its pod", "169.254.169.254", { targetRef: { kind: "Pod", namespace: "ns", name: "p" } }],
  ])("sends nothing to an endpoint that is %s", (_what, address, more) => {
    putEndpoint(address, more);
    expect(() => destination("http")).toThrow("no endpoints available");
  });
});
