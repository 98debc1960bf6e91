import { describe, expect, it } from "vitest";
import { encodeBase64 } from "../../api/meta/base64.ts";
import { certificatesigningrequests, configmaps, endpointslices, nodes, servicecidrs } from "../../api/resources.generated.ts";
import { generateKey } from "../../base/x509/certificate.ts";
import { createSigningRequest } from "../../base/x509/signing-request.ts";
import { type ControllerFixture, createControllerFixture } from "../../testing/controller-fixture.ts";
import { servingRequestApprover } from "./serving-approver.ts";

const keys = generateKey();

interface Asked {
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  readonly node?: string;
  readonly username?: string;
  readonly groups?: readonly string[];
  /** Where the API server is published from now on. */
  readonly server?: string;
}

async function cluster(): Promise<ControllerFixture> {
  const fixture = createControllerFixture();
  const { client } = fixture;
  const node = (name: string, ...addresses: string[]) =>
    client.create(nodes, {
      metadata: { name },
      spec: {},
      status: { addresses: addresses.map((address) => ({ type: "InternalIP", address })) },
    });
  await node("n1", "192.0.2.1", "2001:db8::1", "127.0.0.9", "192.0.2.100", "10.96.0.7", "192.0.2.2", "192.0.2.101");
  await node("n2", "192.0.2.2");
  await node("kubernetes.default.svc", "192.0.2.3");
  await node("api.example.com", "192.0.2.4");
  await node("api", "192.0.2.5");
  await client.create(servicecidrs, { metadata: { name: "kubernetes" }, spec: { cidrs: ["10.96.0.0/16"] } });
  await client.create(endpointslices, {
    metadata: { namespace: "default", name: "kubernetes", labels: { "kubernetes.io/service-name": "kubernetes" } },
    addressType: "IPv4",
    endpoints: [{ addresses: ["192.0.2.100"] }],
  });
  const kubeconfig = "clusters:\n- cluster:\n    server: https://192.0.2.101:6443\n";
  await client.create(configmaps, { metadata: { namespace: "kube-public", name: "cluster-info" }, data: { kubeconfig } });
  fixture.start(servingRequestApprover);
  return fixture;
}

let number = 0;

async function ask(
  fixture: ControllerFixture,
  { dnsNames = ["n1"], ipAddresses = [], node = "n1", username, groups, server }: Asked,
): Promise<string> {
  const name = `r${number++}`;
  if (server !== undefined) {
    const map = await fixture.client.get(configmaps, { namespace: "kube-public", name: "cluster-info" });
    await fixture.client.update(configmaps, { ...map, data: { kubeconfig: `    server: ${server}\n` } });
  }
  const commonName = `system:node:${node}`;
  const pem = createSigningRequest({ commonName, organizations: ["system:nodes"] }, keys, { dnsNames, ipAddresses });
  await fixture.client.create(certificatesigningrequests, {
    metadata: { name },
    spec: {
      request: encodeBase64(pem),
      signerName: "kubernetes.io/kubelet-serving",
      usages: ["digital signature", "server auth"],
      username: username ?? commonName,
      groups: groups ?? ["system:nodes"],
    },
  });
  await fixture.settle();
  const { status } = await fixture.client.get(certificatesigningrequests, { name });
  return status?.conditions?.map((c) => c.type).join() ?? "";
}

describe("servingRequestApprover", () => {
  it("approves a node's certificate for its own name and addresses", async () => {
    await using fixture = await cluster();
    expect(await ask(fixture, { ipAddresses: ["192.0.2.1", "2001:db8::1"] })).toBe("Approved");
    expect(await ask(fixture, {})).toBe("Approved");
  });

  it("leaves everything else to an administrator", async () => {
    await using fixture = await cluster();
    const others: readonly Asked[] = [
      { username: "system:node:n2" },
      { groups: ["system:authenticated"] },
      { dnsNames: ["n2"] },
      { dnsNames: ["n1", "kubernetes.default.svc"] },
      { node: "kubernetes.default.svc", dnsNames: ["kubernetes.default.svc"] },
      { node: "unknown", dnsNames: ["unknown"] },
      { ipAddresses: ["192.0.2.50"] }, // of nobody
      { ipAddresses: ["192.0.2.2"] }, // of another node too
      { ipAddresses: ["192.0.2.100"] }, // of the API server
      { ipAddresses: ["192.0.2.101"] }, // under which the API server is published
      { ipAddresses: ["10.96.0.7"] }, // of a service
      { node: "api.example.com", dnsNames: ["api.example.com"] }, // of anybody in the DNS
      { node: "api", dnsNames: ["api"], server: "https://api:6443" }, // of the API server
      { ipAddresses: ["127.0.0.9"] }, // of every machine
    ];
    for (const other of others) expect([other, await ask(fixture, other)]).toEqual([other, ""]);
  });

  it("approves later what the node reports later", async () => {
    await using fixture = await cluster();
    expect(await ask(fixture, { node: "late", dnsNames: ["late"], ipAddresses: ["192.0.2.9"] })).toBe("");
    await fixture.client.create(nodes, {
      metadata: { name: "late" },
      spec: {},
      status: { addresses: [{ type: "InternalIP", address: "192.0.2.9" }] },
    });
    await fixture.clock.advance(5_000);
    const { items } = await fixture.client.list(certificatesigningrequests);
    expect(items[0]?.status?.conditions?.[0]).toMatchObject({ type: "Approved", reason: "AutoApproved" });
  });
});
