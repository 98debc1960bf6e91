import { expect, test } from "vitest";
import type { Container } from "../../api/types/core-v1.ts";
import { testPod } from "../test-objects.ts";
import { extendedRequests } from "./extended-requests.ts";

const resource = "example.com/gpu";
const container = (name: string, count: number, more: Partial<Container> = {}): Container => ({
  name,
  image: "app",
  resources: { requests: { cpu: "1", [resource]: String(count) } },
  ...more,
});

const needed = (initContainers: readonly Container[], containers: readonly Container[]) => {
  const { requests, mappings } = extendedRequests(testPod("p", { spec: { initContainers, containers } }), new Map([[resource, "gpu"]]));
  return {
    requests: requests.map(({ name, exactly }) => `${name} x${exactly?.count}`),
    mappings: mappings.map(({ containerName, requestName }) => `${containerName}: ${requestName}`),
  };
};

test("each container that lasts has a request of its own, named by its place and the resource's", () => {
  expect(needed([], [container("a", 1), container("b", 2)])).toEqual({
    requests: ["container-0-request-1 x1", "container-1-request-1 x2"],
    mappings: ["a: container-0-request-1", "b: container-1-request-1"],
  });
});

test("containers that initialize use the devices of later ones, and share what is missing", () => {
  const sidecar = container("side", 1, { restartPolicy: "Always" });
  expect(needed([container("first", 4), sidecar, container("second", 3)], [container("main", 1)])).toEqual({
    requests: ["container-0-request-1 x2", "container-1-request-1 x1", "container-3-request-1 x1"],
    mappings: [
      "side: container-1-request-1",
      "main: container-3-request-1",
      "first: container-1-request-1",
      "first: container-3-request-1",
      "first: container-0-request-1",
      "second: container-3-request-1",
      "second: container-0-request-1",
    ],
  });
});

test("nothing is requested for containers without the resource", () => {
  expect(needed([], [{ name: "a", image: "app" }])).toEqual({ requests: [], mappings: [] });
});
