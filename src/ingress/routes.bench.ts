// Finding the route of a request among those of 10,000 hosts.
import { bench, describe } from "vitest";
import { compileRoutes, findRoute, type Route } from "./routes.ts";

const target = { backend: { namespace: "d", service: "web", port: 80 }, policy: { redirectToHttps: false }, source: "d/i" };
const routes = Array.from({ length: 10_000 }, (_, i): readonly Route[] => [
  { host: `h${i}.example.com`, match: "prefix", path: "/", target },
  { host: `h${i}.example.com`, match: "prefix", path: "/api/v1", target },
  { host: `*.w${i}.example.com`, match: "exact", path: "/health", target },
]).flat();
const table = compileRoutes(routes);

function find(host: string, path: string): void {
  for (let i = 0; i < 1000; i++) if (!findRoute(table, host, path)) throw new Error("no route");
}

describe("1,000 requests", () => {
  bench("a prefix of a host", () => find("h5000.example.com", "/api/v1/things/42"));
  bench("an exact path of a wildcard host", () => find("a.w5000.example.com", "/health"));
  bench("a path of 1,000 elements", () => find("h5000.example.com", "/x".repeat(1000)));
});
