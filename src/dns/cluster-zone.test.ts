import { describe, expect, it } from "vitest";
import { endpointslices, namespaces, services } from "../api/resources.generated.ts";
import { createDnsFixture, shown } from "../testing/dns-fixture.ts";

const web = {
  clusterIP: "10.96.0.20",
  clusterIPs: ["10.96.0.20", "fd00:10::20"],
  ports: [
    { name: "http", port: 80, protocol: "TCP" as const },
    { name: "dns", port: 53, protocol: "UDP" as const },
  ],
};
const headless = { clusterIP: "None", clusterIPs: ["None"] };
const zone = "svc.cluster.local";

describe("services with an address", () => {
  it("have A and AAAA records, SRV records of named ports, and a name for their address", async () => {
    await using dns = await createDnsFixture();
    await dns.service("web", web);
    await dns.settle();
    expect(await dns.records(`web.default.${zone}`)).toEqual(["A 10.96.0.20"]);
    expect(await dns.records(`web.default.${zone}`, "AAAA")).toEqual(["AAAA fd00:10::20"]);
    expect(await dns.records(`_http._tcp.web.default.${zone}`, "SRV")).toEqual([`SRV 0 100 80 web.default.${zone}`]);
    expect(await dns.records(`_dns._udp.web.default.${zone}`, "SRV")).toEqual([`SRV 0 100 53 web.default.${zone}`]);
    expect(await dns.records(`web.default.${zone}`, "SRV")).toEqual([`SRV 0 50 53 web.default.${zone}`, `SRV 0 50 80 web.default.${zone}`]);
    expect(await dns.records("20.0.96.10.in-addr.arpa", "PTR")).toEqual([`PTR web.default.${zone}`]);
    expect(await dns.records("0.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.d.f.ip6.arpa", "PTR")).toEqual([
      `PTR web.default.${zone}`,
    ]);
  });

  it("tell the addresses of an SRV record's target with it", async () => {
    await using dns = await createDnsFixture();
    await dns.service("web", web);
    await dns.settle();
    const reply = await dns.ask(`_http._tcp.web.default.${zone}`, "SRV");
    expect(reply?.additionals?.map((record) => `${record.name} ${shown(record)}`)).toEqual([
      `web.default.${zone} A 10.96.0.20`,
      `web.default.${zone} AAAA fd00:10::20`,
    ]);
  });

  it("are told anew when they change, and not at all when they are gone", async () => {
    await using dns = await createDnsFixture();
    const service = await dns.service("web", web);
    await dns.settle();
    expect(await dns.records(`web.default.${zone}`)).toEqual(["A 10.96.0.20"]);
    await dns.client.update(services, { ...service, spec: { ...web, clusterIP: "10.96.0.21", clusterIPs: ["10.96.0.21"] } });
    await dns.settle();
    expect(await dns.records(`web.default.${zone}`)).toEqual(["A 10.96.0.21"]);
    expect(await dns.outcome(`web.default.${zone}`, "AAAA")).toBe("NODATA");
    await dns.client.delete(services, { namespace: "default", name: "web" });
    await dns.settle();
    expect(await dns.outcome(`web.default.${zone}`)).toBe("NXDOMAIN");
  });
});

describe("headless services", () => {
  it("have the addresses of their ready endpoints, by hostname too", async () => {
    await using dns = await createDnsFixture();
    await dns.service("db", headless);
    await dns.slice("db", {
      endpoints: [
        { addresses: ["10.244.0.5"], hostname: "db-0", conditions: { ready: true } },
        { addresses: ["10.244.0.6"], hostname: "db-1" },
        { addresses: ["10.244.0.7"], hostname: "db-2", conditions: { ready: false, serving: true } },
        { addresses: ["10.244.0.8"] },
      ],
      ports: [{ name: "sql", port: 5432, protocol: "TCP" }],
    });
    await dns.slice("db", {
      addressType: "IPv6",
      endpoints: [{ addresses: ["fd00::5"], hostname: "db-0" }],
      ports: [{ name: "sql", port: 5432 }],
    });
    await dns.settle();
    expect(await dns.records(`db.default.${zone}`)).toEqual(["A 10.244.0.5", "A 10.244.0.6", "A 10.244.0.8"]);
    expect(await dns.records(`db.default.${zone}`, "AAAA")).toEqual(["AAAA fd00::5"]);
    expect(await dns.records(`db-1.db.default.${zone}`)).toEqual(["A 10.244.0.6"]);
    expect(await dns.records(`10-244-0-8.db.default.${zone}`)).toEqual(["A 10.244.0.8"]);
    expect(await dns.outcome(`db-2.db.default.${zone}`)).toBe("NXDOMAIN");
    expect(await dns.records(`_sql._tcp.db.default.${zone}`, "SRV")).toEqual([
      `SRV 0 33 5432 10-244-0-8.db.default.${zone}`,
      `SRV 0 33 5432 db-0.db.default.${zone}`,
      `SRV 0 33 5432 db-1.db.default.${zone}`,
    ]);
    expect(await dns.records("5.0.244.10.in-addr.arpa", "PTR")).toEqual([`PTR db-0.db.default.${zone}`]);
    expect(await dns.outcome("7.0.244.10.in-addr.arpa", "PTR")).toBe("SERVFAIL");
  });

  it("do not exist while none is ready, and follow their endpoints", async () => {
    await using dns = await createDnsFixture();
    await dns.service("db", headless);
    const slice = await dns.slice("db", { endpoints: [{ addresses: ["10.244.0.5"], conditions: { ready: false } }] });
    await dns.settle();
    expect(await dns.outcome(`db.default.${zone}`)).toBe("NXDOMAIN");
    await dns.client.update(endpointslices, { ...slice, endpoints: [{ addresses: ["10.244.0.5"], conditions: { ready: true } }] });
    await dns.settle();
    expect(await dns.records(`db.default.${zone}`)).toEqual(["A 10.244.0.5"]);
  });

  it("do not exist when their slices have null for endpoints and ports, as the server writes them", async () => {
    await using dns = await createDnsFixture();
    await dns.service("db", headless);
    await dns.slice("db", { endpoints: null, ports: null });
    await dns.settle();
    for (const name of [`db.default.${zone}`, `db-0.db.default.${zone}`]) expect(await dns.outcome(name)).toBe("NXDOMAIN");
    expect(await dns.outcome(`_sql._tcp.db.default.${zone}`, "SRV")).toBe("NXDOMAIN");
  });

  it("tell their addresses in another order each time", async () => {
    await using dns = await createDnsFixture();
    await dns.service("db", headless);
    await dns.slice("db", { endpoints: [1, 2, 3].map((i) => ({ addresses: [`10.244.0.${i}`] })) });
    await dns.settle();
    const firsts = new Set<string>();
    for (let i = 0; i < 3; i++) {
      const answers = (await dns.ask(`db.default.${zone}`))?.answers ?? [];
      expect(new Set(answers.map(shown)).size).toBe(3);
      firsts.add(answers.map(shown)[0] ?? "");
    }
    expect(firsts.size).toBe(3);
  });
});

describe("other names", () => {
  it("pods have addresses by the address in their name, in namespaces that exist", async () => {
    await using dns = await createDnsFixture();
    expect(await dns.records("10-244-0-7.default.pod.cluster.local")).toEqual(["A 10.244.0.7"]);
    expect(await dns.records("fd00--7.default.pod.cluster.local", "AAAA")).toEqual(["AAAA fd00::7"]);
    expect(await dns.outcome("10-244-0-7.default.pod.cluster.local", "AAAA")).toBe("NODATA");
    expect(await dns.outcome("10-244-0-7.other.pod.cluster.local")).toBe("NXDOMAIN");
    expect(await dns.outcome("10-244-0-777.default.pod.cluster.local")).toBe("NXDOMAIN");
    expect(await dns.outcome("web.default.pod.cluster.local")).toBe("NXDOMAIN");
  });

  it("the version of the specification, the name server and the authority are told", async () => {
    await using dns = await createDnsFixture({ serverAddresses: ["10.96.0.10"] });
    expect(await dns.records("dns-version.cluster.local", "TXT")).toEqual(["TXT 1.1.0"]);
    expect(await dns.records("cluster.local", "NS")).toEqual(["NS ns.dns.cluster.local"]);
    expect(await dns.records("ns.dns.cluster.local")).toEqual(["A 10.96.0.10"]);
    const soa = (await dns.ask("cluster.local", "SOA"))?.answers?.[0];
    expect(soa).toMatchObject({ type: "SOA", name: "cluster.local", data: { mname: "ns.dns.cluster.local", minimum: 30 } });
  });

  it("tell what does not exist from what has no such records", async () => {
    await using dns = await createDnsFixture();
    await dns.service("web", web);
    await dns.settle();
    const outcomes: Record<string, string> = {};
    const names = [
      "cluster.local",
      "svc.cluster.local",
      "pod.cluster.local",
      "dns.cluster.local",
      `default.${zone}`,
      `_tcp.web.default.${zone}`,
      `_http._tcp.web.default.${zone}`,
      `dns-version.cluster.local`,
    ];
    for (const name of names) outcomes[name] = await dns.outcome(name);
    expect(outcomes).toEqual(Object.fromEntries(names.map((name) => [name, "NODATA"])));
    const absent = [
      "web.cluster.local",
      `other.${zone}`,
      `web.other.${zone}`,
      `a.b.web.default.${zone}`,
      `_sctp.web.default.${zone}`,
      `_https._tcp.web.default.${zone}`,
      `_http._udp.web.default.${zone}`,
      `a._http._tcp.web.default.${zone}`,
      `10-96-0-20.web.default.${zone}`,
      "www.example.com.default.svc.cluster.local",
    ];
    for (const name of absent) expect(`${name} ${await dns.outcome(name)}`).toBe(`${name} NXDOMAIN`);
    await dns.create(namespaces, { metadata: { name: "other" }, spec: {} });
    await dns.settle();
    expect(await dns.outcome(`other.${zone}`)).toBe("NODATA");
  });

  it("negative answers carry the start of authority", async () => {
    await using dns = await createDnsFixture();
    const reply = await dns.ask(`web.default.${zone}`);
    expect(reply).toMatchObject({ flag_aa: true, flag_ra: true, answers: [] });
    expect(reply?.authorities).toMatchObject([
      {
        type: "SOA",
        name: "cluster.local",
        ttl: 30,
        data: { mname: "ns.dns.cluster.local", rname: "hostmaster.cluster.local", minimum: 30 },
      },
    ]);
  });

  it("letters are alike in both cases, and come back as they were written", async () => {
    await using dns = await createDnsFixture();
    await dns.service("web", web);
    await dns.settle();
    const name = "wEB.DefaulT.svc.CLUSTER.local";
    for (const asked of [name, name.toLowerCase(), name]) {
      const reply = await dns.ask(asked);
      expect(reply?.questions?.[0]?.name).toBe(asked);
      expect(reply?.answers?.map((a) => `${a.name} ${shown(a)}`)).toEqual([`${asked} A 10.96.0.20`]);
    }
  });

  it("a domain that only ends alike is somebody else's, and another domain can be the cluster's", async () => {
    await using dns = await createDnsFixture({ domain: "k8s.example" });
    await dns.service("web", web);
    await dns.settle();
    expect(await dns.records("web.default.svc.k8s.example")).toEqual(["A 10.96.0.20"]);
    // There is no resolver to ask.
    expect(await dns.outcome("web.default.svc.cluster.local")).toBe("SERVFAIL");
    expect(await dns.outcome("xk8s.example")).toBe("SERVFAIL");
  });

  it("addresses of the cluster that nobody has are known not to have a name", async () => {
    await using dns = await createDnsFixture({ ownRanges: ["10.96.0.0/16", "fd00:10::/112"] });
    expect(await dns.outcome("99.0.96.10.in-addr.arpa", "PTR")).toBe("NXDOMAIN");
    expect(await dns.outcome("1.2.0.192.in-addr.arpa", "PTR")).toBe("SERVFAIL");
  });

  it("nothing is said before the cluster is known", async () => {
    await using dns = await createDnsFixture({}, false);
    expect(dns.server.zone.hasSynced).toBe(false);
    expect(await dns.outcome(`web.default.${zone}`)).toBe("SERVFAIL");
  });
});

describe("ExternalName services", () => {
  it("are aliases, with what their target has in the cluster", async () => {
    await using dns = await createDnsFixture();
    await dns.service("web", web);
    await dns.service("alias", { type: "ExternalName", externalName: `web.default.${zone}` });
    await dns.service("second", { type: "ExternalName", externalName: `alias.default.${zone}.` });
    await dns.settle();
    expect(await dns.records(`alias.default.${zone}`)).toEqual(["A 10.96.0.20", `CNAME web.default.${zone}`]);
    const reply = await dns.ask(`second.default.${zone}`);
    expect(reply?.answers?.map((a) => `${a.name} ${shown(a)}`)).toEqual([
      `second.default.${zone} CNAME alias.default.${zone}`,
      `alias.default.${zone} CNAME web.default.${zone}`,
      `web.default.${zone} A 10.96.0.20`,
    ]);
    expect(await dns.records(`alias.default.${zone}`, "CNAME")).toEqual([`CNAME web.default.${zone}`]);
  });

  it("end where they would go in circles, and have nothing below them", async () => {
    await using dns = await createDnsFixture();
    await dns.service("a", { type: "ExternalName", externalName: `b.default.${zone}` });
    await dns.service("b", { type: "ExternalName", externalName: `a.default.${zone}` });
    await dns.service("address", { type: "ExternalName", externalName: "192.0.2.1" });
    await dns.settle();
    expect(await dns.outcome(`a.default.${zone}`)).toBe("SERVFAIL");
    expect(await dns.outcome(`x.a.default.${zone}`)).toBe("NXDOMAIN");
    expect(await dns.outcome(`address.default.${zone}`)).toBe("NXDOMAIN");
  });
});
