import { describe, expect, it } from "vitest";
import { configmaps, namespaces, serviceaccounts } from "../api/resources.generated.ts";
import { createControllerFixture } from "../testing/controller-fixture.ts";
import { rootCaPublisher } from "./root-ca-publisher.ts";
import { serviceAccountController } from "./service-account.ts";

const rootCaPem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";

describe("serviceaccount-controller", () => {
  it("gives every namespace a service account, and a deleted one back", async () => {
    await using fixture = createControllerFixture();
    fixture.start(serviceAccountController);
    await fixture.client.create(namespaces, { metadata: { name: "shop" }, spec: {} });
    await fixture.settle();
    const first = await fixture.client.get(serviceaccounts, { namespace: "shop", name: "default" });
    await fixture.client.delete(serviceaccounts, { namespace: "shop", name: "default" });
    await fixture.settle();
    const second = await fixture.client.get(serviceaccounts, { namespace: "shop", name: "default" });
    expect(second.metadata.uid).not.toBe(first.metadata.uid);
  });

  it("leaves a namespace alone that is going", async () => {
    await using fixture = createControllerFixture();
    await fixture.client.create(namespaces, { metadata: { name: "going", finalizers: ["x/y"] }, spec: {} });
    await fixture.client.delete(namespaces, { name: "going" });
    fixture.start(serviceAccountController);
    await fixture.settle();
    expect((await fixture.client.list(serviceaccounts)).items).toEqual([]);
  });
});

describe("root-ca-certificate-publisher-controller", () => {
  it("publishes the certificate in every namespace, and puts it back when it was changed or deleted", async () => {
    await using fixture = createControllerFixture({ rootCaPem });
    fixture.start(rootCaPublisher);
    await fixture.client.create(namespaces, { metadata: { name: "shop" }, spec: {} });
    await fixture.settle();
    const at = { namespace: "shop", name: "kube-root-ca.crt" };
    const published = await fixture.client.get(configmaps, at);
    expect(published.data).toEqual({ "ca.crt": rootCaPem });
    expect(published.metadata.annotations?.["kubernetes.io/description"]).toMatch(/^Contains a CA bundle/);
    await fixture.client.update(configmaps, { ...published, data: { "ca.crt": "forged" } });
    await fixture.settle();
    expect((await fixture.client.get(configmaps, at)).data).toEqual({ "ca.crt": rootCaPem });
    await fixture.client.delete(configmaps, at);
    await fixture.settle();
    expect((await fixture.client.get(configmaps, at)).data).toEqual({ "ca.crt": rootCaPem });
  });

  it("publishes nothing where there is no certificate", async () => {
    await using fixture = createControllerFixture();
    fixture.start(rootCaPublisher);
    await fixture.client.create(namespaces, { metadata: { name: "shop" }, spec: {} });
    await fixture.settle();
    expect((await fixture.client.list(configmaps)).items).toEqual([]);
  });
});
