// The whole controller over an API in memory: when it listens, what it serves, which certificates it shows, what it writes.
import { once } from "node:events";
import { createServer, get } from "node:http";
import type { AddressInfo } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { describe, expect, it } from "vitest";
import { endpointslices, events, ingressclasses, ingresses, nodes, secrets, services } from "../api/resources.generated.ts";
import type { Node } from "../api/types/core-v1.ts";
import type { HTTPIngressPath, Ingress, IngressSpec } from "../api/types/networking-v1.ts";
import { realClock } from "../base/clock.ts";
import { StopStack } from "../base/lifecycle.ts";
import { silentLogger } from "../base/log.ts";
import { MetricsRegistry } from "../base/metrics.ts";
import { certificatePem, generateKey, issueCertificate, privateKeyPem } from "../base/x509/certificate.ts";
import { createClient } from "../client/create-client.ts";
import { createEventRecorder } from "../client/event-recorder.ts";
import { createInformerFactory } from "../client/informer-factory.ts";
import { createFakeApi } from "../testing/fake-api.ts";
import { type IngressControllerOptions, startIngressController } from "./ingress-controller.ts";

const namespace = "d";

/** A pair for these names, in a secret's form. */
function tlsData(...dnsNames: string[]) {
  const { privateKey, publicKey } = generateKey();
  const nowMs = realClock.now();
  const times = { notBeforeMs: nowMs - 1000, notAfterMs: nowMs + 3_600_000 };
  const names = { subject: { commonName: dnsNames[0] ?? "", organizations: [] }, names: { dnsNames } };
  const certificate = issueCertificate({ ...names, ...times, publicKey, keyUsages: ["digitalSignature"] }, { key: privateKey });
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  return { "tls.crt": base64(certificatePem(certificate)), "tls.key": base64(privateKeyPem(privateKey)) };
}

async function createFixture(options: Partial<IngressControllerOptions> = {}) {
  const stack = new StopStack();
  const api = createFakeApi(realClock);
  stack.defer(() => api.close());
  const client = createClient(api);
  const deps = { client, clock: realClock, logger: silentLogger };
  const informers = stack.add(createInformerFactory(client, { ...deps, deepFreeze: true }));
  const recorder = stack.add(createEventRecorder({ ...deps, component: "ingress-controller" }));
  const machineAddresses = async () => ["192.0.2.7"];
  const controller = stack.add(
    startIngressController(
      { ...deps, informers, recorder, metrics: new MetricsRegistry(), machineAddresses },
      { address: "127.0.0.1", httpPort: 0, httpsPort: 0, drainMs: 100, ...options },
    ),
  );
  await client.create(ingressclasses, { metadata: { name: "coracle" }, spec: { controller: "coracle.local/ingress" } });
  const node = (name: string, address: string) => ({
    metadata: { name },
    spec: {},
    status: { addresses: [{ type: "InternalIP", address }] },
  });
  for (const made of [node("n1", "192.0.2.7"), node("n2", "192.0.2.8")]) await client.create(nodes, made as unknown as Node); // status is here too
  return {
    ...{ client, controller, api },
    /** A service with a named port, and one pod that answers with the service's name. */
    async service(name: string): Promise<void> {
      const server = createServer((_, response) => response.end(name)).listen(0, "127.0.0.1");
      await once(server, "listening");
      stack.defer(() => void server.close().closeAllConnections());
      const { port } = server.address() as AddressInfo;
      const ports = [{ name: "web", port: 80, protocol: "TCP" as const }];
      await client.create(services, { metadata: { namespace, name }, spec: { ipFamilies: ["IPv4"], ports } });
      await client.create(endpointslices, {
        metadata: { namespace, name, labels: { "kubernetes.io/service-name": name } },
        addressType: "IPv4",
        ports: [{ name: "web", port, protocol: "TCP" }],
        endpoints: [{ addresses: ["127.0.0.1"], conditions: { ready: true } }],
      });
    },
    ingress: (name: string, spec: IngressSpec): Promise<Ingress> =>
      client.create(ingresses, { metadata: { namespace, name }, spec: { ingressClassName: "coracle", ...spec } }),
    async secret(name: string, data: Record<string, string>): Promise<void> {
      await client.create(secrets, { metadata: { namespace, name }, type: "kubernetes.io/tls", data });
    },
    async port(scheme: "http" | "https"): Promise<number> {
      await expect.poll(() => controller.port(scheme)).toBeDefined();
      return controller.port(scheme) ?? 0;
    },
    async page(host: string, path = "/"): Promise<string> {
      const port = controller.port("http");
      if (port === undefined) return "nobody listens";
      return new Promise((resolve) => {
        const asking = get({ host: "127.0.0.1", port, path, headers: { host }, agent: false }, (answer) => {
          let text = "";
          answer
            .on("data", (chunk) => (text += chunk))
            .on("end", () => resolve(answer.statusCode === 200 ? text : String(answer.statusCode)));
        });
        asking.on("error", (error) => resolve(error.message));
      });
    },
    async certificate(servername: string): Promise<{ readonly name: string; readonly serial: string }> {
      const socket: TLSSocket = connectTls({
        host: "127.0.0.1",
        port: controller.port("https") ?? 0,
        servername,
        rejectUnauthorized: false,
      });
      await once(socket, "secureConnect");
      const { subject, serialNumber } = socket.getPeerCertificate();
      socket.destroy();
      return { name: String(subject.CN), serial: serialNumber };
    },
    async eventsOf(name: string): Promise<readonly string[]> {
      const { items } = await client.list(events, { namespace });
      return items.flatMap(({ involvedObject, reason, message }) => (involvedObject.name === name ? [`${reason}: ${message}`] : []));
    },
    [Symbol.asyncDispose]: () => stack.stop(),
  };
}

const path = (name: string, port: { number: number } | { name: string }): HTTPIngressPath => ({
  ...{ path: "/", pathType: "Prefix" },
  backend: { service: { name, port } },
});
const rule = (host: string, name: string) => ({ host, http: { paths: [path(name, { name: "web" })] } });

describe("the ingress controller", () => {
  it("listens when there is an Ingress of its class, serves it, writes where it is, and stops after the last", async () => {
    await using it = await createFixture();
    await it.service("web");
    await it.ingress("other", { ingressClassName: "nginx", rules: [rule("web.example.com", "web")] });
    await it.ingress("nobody's", { rules: [rule("web.example.com", "web")] }).then(async (made) => {
      const { ingressClassName: _, ...spec } = made.spec;
      await it.client.update(ingresses, { ...made, spec });
    });
    await expect.poll(() => it.page("web.example.com")).toBe("nobody listens");
    await it.ingress("ours", { rules: [rule("web.example.com", "web")] });
    await expect.poll(() => it.page("web.example.com")).toBe("web");
    expect(await it.page("other.example.com")).toBe("404");
    const status = async (name: string) => (await it.client.get(ingresses, { namespace, name })).status?.loadBalancer?.ingress;
    await expect.poll(() => status("ours")).toEqual([{ ip: "192.0.2.7" }]);
    expect(await status("other")).toBeUndefined();
    await it.client.delete(ingresses, { namespace, name: "ours" });
    await expect.poll(() => it.controller.port("http")).toBeUndefined();
    await it.ingress("again", { rules: [rule("web.example.com", "web")] });
    await expect.poll(() => it.page("web.example.com")).toBe("web");
  });

  it("follows rules, services and endpoints as they change", async () => {
    await using it = await createFixture({ publishAddresses: ["lb.example.com"] });
    for (const name of ["a", "b"]) await it.service(name);
    const made = await it.ingress("i", {
      rules: [rule("h.example.com", "a")],
      defaultBackend: { service: { name: "b", port: { number: 80 } } },
    });
    await expect.poll(() => it.page("h.example.com")).toBe("a");
    expect(await it.page("elsewhere.example.com")).toBe("b");
    const status = async () => (await it.client.get(ingresses, { namespace, name: "i" })).status?.loadBalancer?.ingress;
    await expect.poll(status).toEqual([{ hostname: "lb.example.com" }]);
    const latest = await it.client.get(ingresses, { namespace, name: made.metadata.name });
    await it.client.update(ingresses, { ...latest, spec: { ...latest.spec, rules: [rule("h.example.com", "b")] } });
    await expect.poll(() => it.page("h.example.com")).toBe("b");
    const slice = await it.client.get(endpointslices, { namespace, name: "b" });
    const unready = (slice.endpoints ?? []).map((endpoint) => ({ ...endpoint, conditions: { ready: false } }));
    await it.client.update(endpointslices, { ...slice, endpoints: unready });
    await expect.poll(() => it.page("h.example.com")).toBe("503");
  });

  it("shows the certificate of the name, a wildcard's for others, reads them anew, and keeps a good one", async () => {
    await using it = await createFixture();
    await it.service("web");
    await it.secret("one", tlsData("one.example.com"));
    await it.secret("wild", tlsData("*.example.com"));
    const tls = [
      { hosts: ["one.example.com"], secretName: "one" },
      { secretName: "wild" },
      { hosts: ["lost.example.org"], secretName: "lost" },
    ];
    await it.ingress("i", { tls, rules: [rule("one.example.com", "web")] });
    await it.port("https");
    await expect.poll(async () => (await it.certificate("one.example.com")).name).toBe("one.example.com");
    expect((await it.certificate("two.example.com")).name).toBe("*.example.com");
    expect((await it.certificate("a.two.example.com")).name).toMatch(/default/);
    expect((await it.certificate("lost.example.org")).name).toMatch(/default/);
    await expect.poll(() => it.eventsOf("i")).toEqual(["InvalidCertificate: There is no secret d/lost of type kubernetes.io/tls"]);

    const open = connectTls({ host: "127.0.0.1", port: await it.port("https"), servername: "one.example.com", rejectUnauthorized: false });
    await once(open, "secureConnect");
    const before = await it.certificate("one.example.com");
    const secret = await it.client.get(secrets, { namespace, name: "one" });
    const renewed = await it.client.update(secrets, { ...secret, data: tlsData("one.example.com") });
    await expect.poll(async () => (await it.certificate("one.example.com")).serial).not.toBe(before.serial);
    const after = await it.certificate("one.example.com");
    await it.client.update(secrets, { ...renewed, data: { ...renewed.data, "tls.key": tlsData("x")["tls.key"] } });
    await expect.poll(() => it.eventsOf("i")).toContain("InvalidCertificate: The certificate and key of secret d/one cannot be used");
    expect(await it.certificate("one.example.com")).toEqual(after);
    // The connection from before is still good.
    open.write("GET / HTTP/1.1\r\nHost: one.example.com\r\nConnection: close\r\n\r\n");
    expect(String((await once(open, "data"))[0])).toMatch(/^HTTP\/1.1 200/);
    open.destroy();
  });

  it("says in an event that a port is taken", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const httpPort = (other.address() as AddressInfo).port;
    await using it = await createFixture({ httpPort });
    await it.ingress("i", { rules: [rule("one.example.com", "web")] });
    await expect.poll(() => it.eventsOf("i")).toEqual([expect.stringMatching(/^PortUnavailable: Cannot listen on port .* EADDRINUSE/)]);
    await it.port("https");
    await new Promise((resolve) => other.close(resolve));
  });
});
