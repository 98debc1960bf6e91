import { describe, expect, it } from "vitest";
import type { Ingress } from "../api/types/networking-v1.ts";
import { isOurs } from "./ingress-class.ts";
import { byAge, rulesOf } from "./ingress-rules.ts";
import { compileRoutes, findRoute } from "./routes.ts";

interface Rules {
  readonly host?: string;
  /** By path, with "=" before an exact one: the service's name. */
  readonly paths?: Readonly<Record<string, string>>;
}

function ingress(name: string, rules: readonly Rules[], more: { readonly fallback?: string; readonly created?: string } = {}): Ingress {
  const backend = (service: string) => ({ service: { name: service, port: { number: 80 } } });
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "Ingress",
    metadata: { name, namespace: "d", uid: name, resourceVersion: "1", creationTimestamp: more.created ?? "2026-01-01T00:00:00Z" },
    spec: {
      ...(more.fallback ? { defaultBackend: backend(more.fallback) } : {}),
      rules: rules.map(({ host, paths = {} }) => ({
        ...(host ? { host } : {}),
        http: {
          paths: Object.entries(paths).map(([path, service]) => ({
            pathType: path.startsWith("=") ? ("Exact" as const) : ("Prefix" as const),
            path: path.replace("=", ""),
            backend: backend(service),
          })),
        },
      })),
    },
  };
}

function finder(...ingresses: readonly Ingress[]): (url: string) => string | undefined {
  const { routes, defaults } = rulesOf([...ingresses].sort(byAge));
  const table = compileRoutes(routes, { defaults });
  return (url) => {
    const slash = url.indexOf("/");
    return findRoute(table, url.slice(0, slash), url.slice(slash))?.backend?.service;
  };
}

describe("findRoute()", () => {
  // The table of upstream's documentation of Ingress: path of the rule, path of the request, whether they match.
  it.each([
    ["/", "/anything/at/all", true],
    ["=/foo", "/foo", true],
    ["=/foo", "/bar", false],
    ["=/foo", "/foo/", false],
    ["=/foo/", "/foo", false],
    ["/foo", "/foo", true],
    ["/foo", "/foo/", true],
    ["/foo/", "/foo", true],
    ["/foo/", "/foo/", true],
    ["/aaa/bb", "/aaa/bbb", false],
    ["/aaa/bbb", "/aaa/bbb", true],
    ["/aaa/bbb/", "/aaa/bbb", true],
    ["/aaa/bbb", "/aaa/bbb/", true],
    ["/aaa/bbb", "/aaa/bbb/ccc", true],
    ["/aaa/bbb", "/aaa/bbbxyz", false],
    ["/foo", "/FOO", false],
    ["/foo", "/", false],
  ])("a rule for %s and a request for %s: %s", (rule, path, matches) => {
    expect(finder(ingress("i", [{ paths: { [rule]: "web" } }]))(`any.example${path}`)).toBe(matches ? "web" : undefined);
  });

  it("takes the exact path before a prefix, and the longest prefix", () => {
    const find = finder(ingress("i", [{ paths: { "/": "root", "/a": "a", "/a/b/": "ab", "=/a/b": "exact", "/a/b/c/d": "deep" } }]));
    const paths = ["/", "/x", "/a", "/a/", "/a/x", "/ab", "/a/b", "/a/b/", "/a/b/c", "/a/b/c/d/e"];
    expect(paths.map((path) => find(`h${path}`))).toEqual(["root", "root", "a", "a", "a", "root", "exact", "ab", "ab", "deep"]);
  });

  it("takes the exact host before a wildcard, and that before no host; a wildcard stands for one label", () => {
    const find = finder(
      ingress("i", [
        { host: "*.Example.com", paths: { "/": "wild" } },
        { host: "api.example.com", paths: { "/v1": "api" } },
        { paths: { "/": "any", "/v1/deep": "any-deep" } },
      ]),
    );
    const asked = [
      "api.example.com/v1",
      "api.example.com/v1/deep",
      "api.example.com/v2",
      "b.example.com/v1",
      "a.b.example.com/",
      "example.com/",
    ];
    expect(asked.map(find)).toEqual(["api", "api", "wild", "wild", "any", "any"]);
  });

  it("falls to the default of the host's own Ingress, then to that of all", () => {
    const find = finder(
      ingress("old", [], { fallback: "old", created: "2025-01-01T00:00:00Z" }),
      ingress("new", [{ host: "new.example.com", paths: { "=/x": "x" } }], { fallback: "new" }),
    );
    expect(["new.example.com/x", "new.example.com/y", "other.example.com/y"].map(find)).toEqual(["x", "new", "old"]);
    expect(finder(ingress("i", [{ host: "a.example.com", paths: { "/x": "x" } }]))("a.example.com/")).toBeUndefined();
  });

  it("leaves a host and path with the Ingress that has had them first", () => {
    const find = finder(
      ingress("a", [{ host: "h.example.com", paths: { "/": "late" } }]),
      ingress("b", [{ host: "h.example.com", paths: { "/": "early" } }], { created: "2025-12-31T23:59:59Z" }),
    );
    expect(find("h.example.com/")).toBe("early");
  });

  it("is not slow for paths of very many elements", () => {
    const find = finder(ingress("i", [{ paths: { "/a/b": "ab" } }]));
    expect(find(`h${"/".repeat(30_000)}`)).toBeUndefined();
    expect(find(`h/a/b${"/x".repeat(15_000)}`)).toBe("ab");
  });
});

describe("rulesOf()", () => {
  it("refuses backends that are no services, and says so", () => {
    const made = ingress("i", [{ paths: { "/": "web" } }]);
    const resource = { apiGroup: "storage.example.com", kind: "Bucket", name: "static" };
    const { routes, problems } = rulesOf([
      {
        ...made,
        spec: { ...made.spec, rules: [{ http: { paths: [{ path: "/", pathType: "ImplementationSpecific", backend: { resource } }] } }] },
      },
    ]);
    expect(problems.map(({ reason, message }) => `${reason}: ${message}`)).toEqual([
      "UnsupportedBackend: A backend must be a port of a service, not resource Bucket static",
    ]);
    expect(routes.map(({ match, target }) => [match, target.backend])).toEqual([["prefix", undefined]]);
  });

  it("says so of one that cannot be understood, and reads the others", () => {
    const odd = ingress("odd", [{ paths: { "/": "web" } }]);
    const broken = { ...odd, spec: { rules: [{ http: { paths: [null] } }] } } as unknown as Ingress; // nothing an API server lets in
    const { routes, problems } = rulesOf([broken, ingress("good", [{ paths: { "/": "web" } }])]);
    expect(problems.map(({ reason, ingress: of }) => [of.metadata.name, reason])).toEqual([["odd", "InvalidIngress"]]);
    expect(routes.map(({ target }) => target.source)).toEqual(["d/good"]);
  });

  it("reads annotations", () => {
    const made = ingress("i", [{ paths: { "/": "web" } }]);
    const withAnnotations = (annotations: Record<string, string>) => rulesOf([{ ...made, metadata: { ...made.metadata, annotations } }]);
    const good = withAnnotations({ "ingress.coracle.local/ssl-redirect": "true", "ingress.coracle.local/max-body-bytes": "1000" });
    expect(good.routes[0]?.target.policy).toEqual({ redirectToHttps: true, maxBodyBytes: 1000 });
    const bad = withAnnotations({ "ingress.coracle.local/max-body-bytes": "1m" });
    expect(bad.routes[0]?.target.policy).toEqual({ redirectToHttps: false });
    expect(bad.problems.map(({ reason }) => reason)).toEqual(["InvalidAnnotation"]);
  });
});

describe("isOurs()", () => {
  const classOf = (name: string) =>
    name === "mine" || name === "other"
      ? {
          apiVersion: "networking.k8s.io/v1" as const,
          kind: "IngressClass" as const,
          metadata: { name, uid: name, resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" },
          spec: { controller: name === "mine" ? "coracle.local/ingress" : "example.com/other" },
        }
      : undefined;
  const made = ingress("i", []);
  const judged = (ingressClassName: string | undefined, annotation?: string) =>
    isOurs(
      {
        ...made,
        metadata: { ...made.metadata, ...(annotation ? { annotations: { "kubernetes.io/ingress.class": annotation } } : {}) },
        spec: { ...made.spec, ...(ingressClassName ? { ingressClassName } : {}) },
      },
      classOf,
    );

  it("goes by the class's controller, and by the old annotation before the field", () => {
    expect([judged("mine"), judged("other"), judged("missing"), judged(undefined)]).toEqual([true, false, false, false]);
    expect([judged(undefined, "mine"), judged(undefined, "coracle"), judged("mine", "nginx"), judged("other", "mine")]).toEqual([
      true,
      true,
      false,
      true,
    ]);
  });
});
