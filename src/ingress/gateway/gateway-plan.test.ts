// What listeners and routes of the Gateway API come to, decided from plain objects.
import { describe, expect, it } from "vitest";
import type { Secret, Service } from "../../api/types/core-v1.ts";
import type { Asked } from "../client-request.ts";
import { chosenTarget, type RequestFacts, type Target } from "../routes.ts";
import { findInSites } from "../sites.ts";
import { type GatewayPlan, gatewayControllerName, planGateways, type Said } from "./gateway-plan.ts";
import type { Gateway, GatewayClass, GatewayListener, GRPCRoute, HTTPRoute, ReferenceGrant } from "./gateway-types.ts";
import type { GatewayView } from "./gateway-view.ts";

const apiVersion = "gateway.networking.k8s.io/v1";
const metadata = (name: string, namespace?: string, created = "2026-01-01T00:00:00Z") => ({
  ...{ name, uid: name, resourceVersion: "1", creationTimestamp: created },
  ...(namespace === undefined ? {} : { namespace }),
});

const ourClass = (more: Partial<GatewayClass["spec"]> = {}): GatewayClass => ({
  ...{ apiVersion, kind: "GatewayClass", metadata: metadata("ours") },
  spec: { controllerName: gatewayControllerName, ...more },
});

const listener = (name: string, more: Partial<GatewayListener> = {}): GatewayListener => ({ name, port: 80, protocol: "HTTP", ...more });

const gateway = (listeners: readonly GatewayListener[], more: Partial<Gateway["spec"]> = {}, name = "gw", created?: string): Gateway => ({
  ...{ apiVersion, kind: "Gateway", metadata: metadata(name, "infra", created) },
  spec: { gatewayClassName: "ours", listeners, ...more },
});

const route = (name: string, spec: Partial<HTTPRoute["spec"]>, namespace = "infra", created?: string): HTTPRoute => ({
  ...{ apiVersion, kind: "HTTPRoute", metadata: metadata(name, namespace, created) },
  spec: { parentRefs: [{ name: "gw", namespace: "infra" }], ...spec },
});

const calls = (name: string, rules: GRPCRoute["spec"]["rules"], namespace = "infra"): GRPCRoute => ({
  ...{ apiVersion, kind: "GRPCRoute", metadata: metadata(name, namespace) },
  spec: { parentRefs: [{ name: "gw", namespace: "infra" }], ...(rules ? { rules } : {}) },
});

const grant = (from: ReferenceGrant["spec"]["from"][0], to: ReferenceGrant["spec"]["to"][0], namespace: string): ReferenceGrant => ({
  ...{ apiVersion, kind: "ReferenceGrant", metadata: metadata("grant", namespace) },
  spec: { from: [from], to: [to] },
});

const to = (name: string, more: object = {}) => ({ name, port: 80, ...more });
const prefix = (value: string) => ({ path: { type: "PathPrefix", value } });

function plan(view: Partial<GatewayView>): GatewayPlan {
  return planGateways({
    ...{ classes: [ourClass()], gateways: [], routes: [], grpcRoutes: [], grants: [] },
    service: (key) => (key.endsWith("/missing") ? undefined : ({ spec: { ports: [{ port: 80 }] } } as unknown as Service)),
    secret: (key) => (key.endsWith("/missing") ? undefined : ({ metadata: metadata(key.slice(key.indexOf("/") + 1)) } as Secret)),
    isUsableCertificate: (secret) => secret.metadata.name !== "broken",
    namespaceLabels: (name) => (name === "shop" ? { team: "blue" } : {}),
    portProblem: () => undefined,
    isListening: () => true,
    addresses: ["192.0.2.1"],
    ...view,
  });
}

interface Request extends Partial<Omit<RequestFacts, "query" | "header">> {
  readonly headers?: Readonly<Record<string, string>>;
}

function targetOf(made: GatewayPlan, url: string, { method = "GET", headers = {} }: Request = {}, port = 80): Target | undefined {
  const { hostname: host, pathname: path, search, searchParams } = new URL(`http://${url}`);
  const asked: Asked = { authority: host, host, path, pathAndQuery: path + search };
  const facts = { method, header: (name: string) => headers[name], query: (name: string) => searchParams.get(name) ?? undefined };
  return findInSites(made.ports.find((one) => one.port === port)?.sites ?? [], asked, facts);
}

/** The service a request goes to; "500" and the like where to none. */
function serviceOf(...args: Parameters<typeof targetOf>): string {
  const target = targetOf(...args);
  return target?.backend?.service ?? String(target?.status ?? 404);
}

const said = (conditions: readonly Said[] | undefined): readonly string[] =>
  (conditions ?? []).map(({ type, status, reason }) => `${type}=${status} ${reason}`);
const ofListener = (made: GatewayPlan, name: string) =>
  made.gateways.flatMap(({ listeners }) => listeners).find((one) => one.name === name);
const ofRoute = (made: GatewayPlan, name: string) =>
  said(made.routes.find(({ route: one }) => one.metadata.name === name)?.parents.flatMap(({ conditions }) => conditions));

describe("matches", () => {
  const rule = (service: string, ...matches: object[]) => ({ matches, backendRefs: [to(service)] });

  it("go by path, then method, headers, query parameters, then age", () => {
    const made = plan({
      gateways: [gateway([listener("web")])],
      routes: [
        route("late", { rules: [rule("late", prefix("/"), prefix("/tie"))] }, "infra", "2026-02-01T00:00:00Z"),
        route("a", {
          rules: [
            rule("root", prefix("/")),
            rule("long", prefix("/a/b")),
            rule("exact", { path: { type: "Exact", value: "/a/b" } }),
            rule("post", { ...prefix("/a"), method: "POST" }),
            rule("one-header", { ...prefix("/a"), headers: [{ name: "X-One", value: "1" }] }),
            rule("two-headers", {
              ...prefix("/a"),
              headers: [
                { name: "X-One", value: "1" },
                { name: "X-Two", type: "RegularExpression", value: "[0-9]+" },
              ],
            }),
            rule("query", { ...prefix("/a"), queryParams: [{ name: "q", value: "1" }] }),
            rule("pattern", { path: { type: "RegularExpression", value: "/p/[a-z]+/end" } }),
            rule("tie", prefix("/tie")),
          ],
        }),
      ],
    });
    const one = { "x-one": "1" };
    expect(serviceOf(made, "any/x")).toBe("root");
    expect(serviceOf(made, "any/tie")).toBe("tie");
    expect([serviceOf(made, "any/a/b"), serviceOf(made, "any/a/b/c"), serviceOf(made, "any/a/bc")]).toEqual(["exact", "long", "root"]);
    expect(serviceOf(made, "any/a", { method: "POST", headers: { ...one, "x-two": "2" } })).toBe("post");
    expect(serviceOf(made, "any/a?q=1", { headers: one })).toBe("one-header");
    expect(serviceOf(made, "any/a", { headers: { ...one, "x-two": "22" } })).toBe("two-headers");
    expect([serviceOf(made, "any/a?q=1"), serviceOf(made, "any/a?q=2&q=1")]).toEqual(["query", "root"]);
    expect([serviceOf(made, "any/p/x/end"), serviceOf(made, "any/p/x/end/more")]).toEqual(["pattern", "root"]);
  });

  it("of calls go by service and method, to pods that speak HTTP/2", () => {
    const call = (service: string, method?: object, more: object = {}) => ({
      matches: [{ ...(method ? { method } : {}), ...more }],
      backendRefs: [to(service)],
    });
    const made = plan({
      gateways: [gateway([listener("web"), listener("other", { port: 81 })])],
      grpcRoutes: [
        calls("c", [
          call("one", { service: "shop.Cart", method: "Add" }),
          call("service", { service: "shop.Cart" }),
          call("header", { service: "shop.Cart", method: "Add" }, { headers: [{ name: "Tier", value: "gold" }] }),
          call("method", { method: "Watch" }),
          call("pattern", { type: "RegularExpression", service: "v[0-9]\\.[A-Z]+" }),
        ]),
      ],
    });
    const at = (url: string, headers = {}) => serviceOf(made, url, { method: "POST", headers });
    expect([at("any/shop.Cart/Add"), at("any/shop.Cart/Add", { tier: "gold" }), at("any/shop.Cart/Remove")]).toEqual([
      "one",
      "header",
      "service",
    ]);
    expect([at("any/x.Y/Watch"), at("any/v1.ABC/Get"), at("any/v1.abc/Get"), at("any/x.Y/Z")]).toEqual(["method", "pattern", "404", "404"]);
    expect(targetOf(made, "any/shop.Cart/Add")?.policy.protocol).toBe("h2c");
    expect(made.ports.find(({ port }) => port === 80)?.h2c).toBe(true);
    expect(ofRoute(made, "c")).toEqual(["Accepted=True Accepted", "ResolvedRefs=True ResolvedRefs"]);
    expect(ofListener(made, "web")?.attachedRoutes).toBe(1);
    expect(ofListener(made, "web")?.supportedKinds.map(({ kind }) => kind)).toEqual(["HTTPRoute", "GRPCRoute"]);
  });

  it("of calls have no copies, and are for listeners that take such routes", () => {
    const mirror = { type: "RequestMirror", requestMirror: { backendRef: to("copy") } };
    const made = plan({
      gateways: [gateway([listener("web"), listener("http", { port: 81, allowedRoutes: { kinds: [{ kind: "HTTPRoute" }] } })])],
      grpcRoutes: [
        calls("mirrored", [{ filters: [mirror], backendRefs: [to("a")] }]),
        {
          ...calls("refused", [{ backendRefs: [to("a")] }]),
          spec: { parentRefs: [{ name: "gw", namespace: "infra", sectionName: "http" }] },
        },
      ],
    });
    expect(ofRoute(made, "mirrored")[0]).toBe("Accepted=False UnsupportedValue");
    expect(ofRoute(made, "refused")[0]).toBe("Accepted=False NotAllowedByListeners");
  });

  it("lead to pods that speak HTTP/2 where the service's port says so", () => {
    const made = plan({
      gateways: [gateway([listener("web")])],
      routes: [route("r", { rules: [{ backendRefs: [to("a")] }] })],
      service: () => ({ spec: { ports: [{ port: 80, appProtocol: "kubernetes.io/h2c" }] } }) as unknown as Service,
    });
    expect(targetOf(made, "any/")?.policy.protocol).toBe("h2c");
    expect(made.ports[0]?.h2c).toBe(false);
  });

  it("are served under the hostnames that route and listener have in common", () => {
    const made = plan({
      gateways: [
        gateway([
          listener("all"),
          listener("wild", { hostname: "*.example.com", port: 81 }),
          listener("one", { hostname: "one.example.com", port: 81 }),
        ]),
      ],
      routes: [
        route("r", { hostnames: ["a.example.com", "*.deep.example.com", "other.org"], rules: [rule("r")] }),
        route("w", { hostnames: ["*.example.com"], rules: [rule("w")] }),
      ],
    });
    const at = (host: string, port: number) => serviceOf(made, `${host}/`, {}, port);
    expect(["a.example.com", "x.y.deep.example.com", "other.org", "b.example.com", "example.com"].map((host) => at(host, 80))).toEqual([
      "r",
      "r",
      "r",
      "w",
      "404",
    ]);
    // The listener with the narrower name has its hosts to itself.
    expect(["a.example.com", "one.example.com", "other.org"].map((host) => at(host, 81))).toEqual(["r", "w", "404"]);
    expect(made.gateways[0]?.listeners.map(({ attachedRoutes }) => attachedRoutes)).toEqual([2, 2, 1]);
  });
});

describe("backends", () => {
  it("share requests by weight; what leads nowhere takes its part of them", () => {
    const made = plan({
      gateways: [gateway([listener("web")])],
      routes: [
        route("r", {
          rules: [
            { backendRefs: [to("a", { weight: 1 }), to("b", { weight: 2 }), to("missing", { weight: 1 }), to("none", { weight: 0 })] },
          ],
        }),
      ],
    });
    const target = targetOf(made, "any/");
    const picks = [0, 0.3, 0.7, 0.8].map((at) => target && chosenTarget(target, () => at)).map((t) => t?.backend?.service ?? t?.status);
    expect(picks).toEqual(["a", "b", "b", 500]);
    expect(ofRoute(made, "r")).toEqual(["Accepted=True Accepted", "ResolvedRefs=False BackendNotFound"]);
    expect(made.backends.map(({ service }) => service)).toEqual(["a", "b", "none"]);
  });

  it.each([
    ["a service that is not there", to("missing"), "BackendNotFound", "500"],
    ["a port it has not", { name: "web", port: 81 }, "BackendNotFound", "500"],
    ["another kind", to("web", { kind: "Bucket" }), "InvalidKind", "500"],
    ["another namespace that has not allowed it", to("web", { namespace: "shop" }), "RefNotPermitted", "500"],
  ])("%s: 500", (_what, reference, reason, status) => {
    const made = plan({ gateways: [gateway([listener("web")])], routes: [route("r", { rules: [{ backendRefs: [reference] }] })] });
    expect(serviceOf(made, "any/")).toBe(status);
    expect(ofRoute(made, "r")).toEqual(["Accepted=True Accepted", `ResolvedRefs=False ${reason}`]);
  });

  it("of another namespace are reached where that allows it, for all or by name", () => {
    const from = { group: "gateway.networking.k8s.io", kind: "HTTPRoute", namespace: "infra" };
    const routes = [route("r", { rules: [{ backendRefs: [to("web", { namespace: "shop" })] }] })];
    const judged = (of: ReferenceGrant) => serviceOf(plan({ gateways: [gateway([listener("web")])], routes, grants: [of] }), "any/");
    expect(judged(grant(from, { group: "", kind: "Service" }, "shop"))).toBe("web");
    expect(judged(grant(from, { group: "", kind: "Service", name: "web" }, "shop"))).toBe("web");
    expect(judged(grant(from, { group: "", kind: "Service", name: "other" }, "shop"))).toBe("500");
    expect(judged(grant({ ...from, namespace: "x" }, { group: "", kind: "Service" }, "shop"))).toBe("500");
    expect(judged(grant(from, { group: "", kind: "Service" }, "infra"))).toBe("500");
  });

  it("none at all: 500, and a redirect needs none", () => {
    const rules = [
      { matches: [prefix("/none")] },
      { matches: [prefix("/go")], filters: [{ type: "RequestRedirect", requestRedirect: { hostname: "other.org", statusCode: 301 } }] },
    ];
    const made = plan({ gateways: [gateway([listener("web")])], routes: [route("r", { rules })] });
    expect(serviceOf(made, "any/none")).toBe("500");
    expect(targetOf(made, "any/go")?.policy.filters?.redirect).toEqual({ hostname: "other.org", status: 301 });
  });
});

describe("routes", () => {
  it.each<[string, Partial<HTTPRoute["spec"]>, GatewayListener, string]>([
    [
      "a listener that is not there",
      { parentRefs: [{ name: "gw", sectionName: "lost" }] },
      listener("web"),
      "Accepted=False NoMatchingParent",
    ],
    ["a port without a listener", { parentRefs: [{ name: "gw", port: 81 }] }, listener("web"), "Accepted=False NoMatchingParent"],
    [
      "a kind that is not allowed",
      {},
      listener("web", { allowedRoutes: { kinds: [{ kind: "GRPCRoute" }] } }),
      "Accepted=False NotAllowedByListeners",
    ],
    [
      "no hostname in common",
      { hostnames: ["a.org"] },
      listener("web", { hostname: "*.com" }),
      "Accepted=False NoMatchingListenerHostname",
    ],
    [
      "a filter that is not served",
      { rules: [{ filters: [{ type: "ExtensionRef" }] }] },
      listener("web"),
      "Accepted=False UnsupportedValue",
    ],
    [
      "a pattern that is none",
      { rules: [{ matches: [{ path: { type: "RegularExpression", value: "(" } }] }] },
      listener("web"),
      "Accepted=False UnsupportedValue",
    ],
    ["a listener by its name", { parentRefs: [{ name: "gw", sectionName: "web" }] }, listener("web"), "Accepted=True Accepted"],
  ])("%s: %4$s", (_what, spec, of, expected) => {
    const made = plan({ gateways: [gateway([of])], routes: [route("r", spec)] });
    expect(ofRoute(made, "r")[0]).toBe(expected);
    expect(serviceOf(made, "any/")).toBe(expected.includes("True") ? "500" : "404");
  });

  it("of other namespaces are let in as the listener says", () => {
    const judged = (namespaces: object) => {
      const web = listener("web", { allowedRoutes: { namespaces } });
      return ofRoute(plan({ gateways: [gateway([web])], routes: [route("r", {}, "shop")] }), "r")[0];
    };
    expect(judged({ from: "Same" })).toBe("Accepted=False NotAllowedByListeners");
    expect(judged({ from: "All" })).toBe("Accepted=True Accepted");
    expect(judged({ from: "Selector", selector: { matchLabels: { team: "blue" } } })).toBe("Accepted=True Accepted");
    expect(judged({ from: "Selector", selector: { matchLabels: { team: "red" } } })).toBe("Accepted=False NotAllowedByListeners");
  });

  it("of other controllers' gateways are left alone", () => {
    const made = plan({ gateways: [gateway([listener("web")], { gatewayClassName: "theirs" })], routes: [route("r", {})] });
    expect([made.gateways, made.routes, made.ports]).toEqual([[], [], []]);
  });
});

describe("listeners", () => {
  const tls = (...certificateRefs: object[]) =>
    listener("web", { port: 443, protocol: "HTTPS", tls: { certificateRefs: certificateRefs as never } });

  it("that can be served say so, and so does their gateway, with its addresses", () => {
    const made = plan({
      gateways: [gateway([listener("web"), { ...tls({ name: "pair" }), name: "tls" }])],
      addresses: ["192.0.2.1", "lb.example.org"],
    });
    const well = ["Accepted=True Accepted", "Conflicted=False NoConflicts", "ResolvedRefs=True ResolvedRefs", "Programmed=True Programmed"];
    expect([said(ofListener(made, "web")?.conditions), said(ofListener(made, "tls")?.conditions)]).toEqual([well, well]);
    expect(said(made.gateways[0]?.conditions)).toEqual(["Accepted=True Accepted", "Programmed=True Programmed"]);
    expect(made.gateways[0]?.addresses).toEqual([
      { type: "IPAddress", value: "192.0.2.1" },
      { type: "Hostname", value: "lb.example.org" },
    ]);
    expect(made.ports.map(({ scheme, port, certificates }) => [scheme, port, certificates.map(({ secret }) => secret)])).toEqual([
      ["http", 80, []],
      ["https", 443, ["infra/pair"]],
    ]);
  });

  it.each<[string, object, string]>([
    ["a secret that is not there", { name: "missing" }, "InvalidCertificateRef"],
    ["one that cannot be used", { name: "broken" }, "InvalidCertificateRef"],
    ["another kind", { name: "pair", kind: "ConfigMap" }, "InvalidCertificateRef"],
    ["one of another namespace", { name: "pair", namespace: "shop" }, "RefNotPermitted"],
  ])("with %s have no certificate to show", (_what, reference, reason) => {
    const made = plan({ gateways: [gateway([tls(reference)])] });
    expect(said(ofListener(made, "web")?.conditions).slice(2)).toEqual([`ResolvedRefs=False ${reason}`, "Programmed=False Invalid"]);
    expect(said(made.gateways[0]?.conditions)).toEqual(["Accepted=False ListenersNotValid", "Programmed=False Invalid"]);
    expect(made.ports).toEqual([]);
  });

  it("say what they cannot do: protocols, kinds of routes, ports that are taken", () => {
    const kinds = [{ kind: "HTTPRoute" }, { kind: "TLSRoute" }];
    const made = plan({
      gateways: [
        gateway([
          listener("tcp", { protocol: "TCP", port: 1 }),
          listener("kinds", { port: 2, allowedRoutes: { kinds } }),
          listener("taken", { port: 3 }),
        ]),
      ],
      portProblem: (_scheme, port) => (port === 3 ? "EADDRINUSE" : undefined),
      isListening: (_scheme, port) => port !== 3,
    });
    expect(said(ofListener(made, "tcp")?.conditions)[0]).toBe("Accepted=False UnsupportedProtocol");
    expect(said(ofListener(made, "kinds")?.conditions)[2]).toBe("ResolvedRefs=False InvalidRouteKinds");
    expect(ofListener(made, "kinds")?.supportedKinds).toEqual([{ group: "gateway.networking.k8s.io", kind: "HTTPRoute" }]);
    expect(said(ofListener(made, "taken")?.conditions)).toEqual([
      "Accepted=False PortUnavailable",
      "Conflicted=False NoConflicts",
      "ResolvedRefs=True ResolvedRefs",
      "Programmed=False Pending",
    ]);
    expect(said(made.gateways[0]?.conditions)).toEqual(["Accepted=True ListenersNotValid", "Programmed=True Programmed"]);
    // It goes on being tried.
    expect(made.ports.map(({ port }) => port)).toEqual([2, 3]);
  });

  it("of several gateways share ports, and the older one has the name", () => {
    const made = plan({
      gateways: [
        gateway(
          [listener("late"), listener("other", { hostname: "x.org" }), { ...tls({ name: "pair" }), port: 80, name: "tls" }],
          {},
          "young",
          "2026-03-01T00:00:00Z",
        ),
        gateway([listener("first")], {}, "old"),
      ],
    });
    const conflict = (name: string) => said(ofListener(made, name)?.conditions)[1];
    expect(["first", "late", "other", "tls"].map(conflict)).toEqual([
      "Conflicted=False NoConflicts",
      "Conflicted=True HostnameConflict",
      "Conflicted=False NoConflicts",
      "Conflicted=True ProtocolConflict",
    ]);
    expect(made.ports.map(({ port, sites }) => [port, sites.map(({ host }) => host)])).toEqual([[80, [undefined, "x.org"]]]);
  });

  it("of a gateway that asks for addresses which are not ours are not served", () => {
    const asked = (type: string, value: string) => plan({ gateways: [gateway([listener("web")], { addresses: [{ type, value }] })] });
    expect(said(asked("IPAddress", "192.0.2.1").gateways[0]?.conditions)[1]).toBe("Programmed=True Programmed");
    const other = asked("IPAddress", "192.0.2.9");
    expect([said(other.gateways[0]?.conditions)[1], other.ports]).toEqual(["Programmed=False AddressNotUsable", []]);
    expect(said(asked("example.com/fancy", "x").gateways[0]?.conditions)[0]).toBe("Accepted=False UnsupportedAddress");
  });

  it("of a class with parameters are nobody's", () => {
    const made = plan({ classes: [ourClass({ parametersRef: {} })], gateways: [gateway([listener("web")])] });
    expect(made.classes.map(({ conditions }) => said(conditions))).toEqual([["Accepted=False InvalidParameters"]]);
    expect(made.gateways).toEqual([]);
  });
});
