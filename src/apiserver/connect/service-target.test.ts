import { beforeEach, describe, expect, it } from "vitest";
import { endpoints, pods, services } from "../../api/resources.generated.ts";
import { MemoryReader } from "../admission/memory-reader.ts";
import { serviceDestination } from "./service-target.ts";

let reader: MemoryReader;
const destination = (port: string, service = "web"): unknown =>
  serviceDestination(
    { services: reader.informer(services), endpoints: reader.informer(endpoints), pods: reader.informer(pods) },
    { namespace: "ns", service, port, id: `http:${service}:${port}` },
  );

function putEndpoints(subsets: readonly object[]): void {
  reader.put(endpoints, { metadata: { namespace: "ns", name: "web" }, subsets });
}
const putEndpoint = (address: object, field = "addresses"): void =>
  putEndpoints([{ ports: [{ name: "http", port: 8080 }], [field]: [address] }]);
const targetRef = { kind: "Pod", namespace: "ns", name: "p" };

beforeEach(() => {
  reader = new MemoryReader();
  reader.put(services, { metadata: { namespace: "ns", name: "web" }, spec: { ports: [{ name: "http", port: 80 }] } });
  reader.put(pods, { metadata: { namespace: "ns", name: "p" }, spec: { containers: [] }, status: { podIPs: [{ ip: "10.0.0.5" }] } });
});

describe("serviceDestination()", () => {
  it("is a pod of the service's port, by the port's name or number", () => {
    putEndpoint({ ip: "10.0.0.5", targetRef });
    expect(destination("http")).toEqual({ address: "10.0.0.5", port: 8080 });
    expect(destination("80")).toEqual({ address: "10.0.0.5", port: 8080 });
  });

  it("refuses ports that are not there, and a named port that is not named", () => {
    putEndpoint({ ip: "10.0.0.5", targetRef });
    expect(() => destination("81")).toThrow('no service port 81 found for service "web"');
    expect(() => destination("nope")).toThrow('no endpoints available for service "http:web:nope"');
    expect(() => destination("")).toThrow('no endpoints available for service "http:web:"');
    expect(() => destination("http", "other")).toThrow('services "other" not found');
  });

  it("says of a service without endpoints that there are none, and of one that nobody keeps endpoints for that it is not found", () => {
    expect(() => destination("http")).toThrow('services "web" not found');
    putEndpoints([]);
    expect(() => destination("http")).toThrow('no endpoints available for service "web"');
  });

  it.each([
    ["not ready", { ip: "10.0.0.5", targetRef }, "notReadyAddresses"],
    ["no pod", { ip: "10.0.0.5" }, "addresses"],
    ["a pod of another namespace", { ip: "10.0.0.5", targetRef: { ...targetRef, namespace: "other" } }, "addresses"],
    ["not an address of its pod", { ip: "169.254.169.254", targetRef }, "addresses"],
  ])("sends nothing to an endpoint that is %s", (_what, address, field) => {
    putEndpoint(address, field);
    expect(() => destination("http")).toThrow("no endpoints available");
  });
});
