import { describe, expect, it } from "vitest";
import { encodeBase64 } from "../api/meta/base64.ts";
import { secrets, serviceaccounts } from "../api/resources.generated.ts";
import type { Secret } from "../api/types/core-v1.ts";
import { type ControllerFixture, createControllerFixture } from "../testing/controller-fixture.ts";
import { serviceAccountTokenController } from "./service-account-tokens.ts";

const at = { namespace: "default", name: "token" };
const type = "kubernetes.io/service-account-token";

async function started({ account }: { readonly account: boolean }): Promise<ControllerFixture> {
  const fixture = createControllerFixture({ rootCaPem: "PEM" });
  fixture.start(serviceAccountTokenController);
  if (account)
    await fixture.client.create(serviceaccounts, { metadata: { namespace: "default", name: "robot" }, secrets: [{ name: "token" }] });
  const annotations = { "kubernetes.io/service-account.name": "robot" };
  await fixture.client.create(secrets, { metadata: { ...at, annotations }, type });
  await fixture.client.create(secrets, { metadata: { ...at, name: "other" }, type: "Opaque" });
  await fixture.settle();
  return fixture;
}

const names = async (fixture: ControllerFixture): Promise<readonly string[]> =>
  (await fixture.client.list(secrets, { namespace: "default" })).items.map((secret) => secret.metadata.name);
const found = (fixture: ControllerFixture): Promise<Secret> => fixture.client.get(secrets, at);

describe("serviceaccount-token-controller", () => {
  it("puts a token bound to the secret, the authority and the namespace into it", async () => {
    const bodies: unknown[] = [];
    const fixture = createControllerFixture();
    fixture.api.intercept = (request) => void (request.path.endsWith("/robot/token") && bodies.push(request.body));
    fixture.start(serviceAccountTokenController);
    await using _ = fixture;
    const account = await fixture.client.create(serviceaccounts, { metadata: { namespace: "default", name: "robot" } });
    const annotations = { "kubernetes.io/service-account.name": "robot" };
    const { uid } = (await fixture.client.create(secrets, { metadata: { ...at, annotations }, type })).metadata;
    await fixture.settle();
    expect(bodies).toMatchObject([{ spec: { boundObjectRef: { kind: "Secret", name: "token", uid }, expirationSeconds: 2 ** 32 } }]);
    expect(await found(fixture)).toMatchObject({
      metadata: { annotations: { "kubernetes.io/service-account.uid": account.metadata.uid } },
      data: { namespace: encodeBase64("default"), token: encodeBase64(`token of ${account.metadata.uid}`) },
    });
  });

  it("keeps the authority in it up to date and leaves the token", async () => {
    await using fixture = await started({ account: true });
    const before = await found(fixture);
    expect(before.data?.["ca.crt"]).toBe(encodeBase64("PEM"));
    await fixture.client.patch(secrets, at, { data: { "ca.crt": encodeBase64("old") } }, { type: "merge" });
    await fixture.settle();
    expect((await found(fixture)).data).toEqual(before.data);
    expect(fixture.problems).toEqual([]);
  });

  it("deletes it when there is no such account, or the account goes", async () => {
    await using none = await started({ account: false });
    expect(await names(none)).toEqual(["other"]);
    await using fixture = await started({ account: true });
    await fixture.client.delete(serviceaccounts, { namespace: "default", name: "robot" });
    await fixture.settle();
    expect(await names(fixture)).toEqual(["other"]);
  });

  it("takes a secret that is gone off its account's list", async () => {
    await using fixture = await started({ account: true });
    await fixture.client.delete(secrets, at);
    await fixture.settle();
    expect((await fixture.client.get(serviceaccounts, { namespace: "default", name: "robot" })).secrets).toEqual([]);
  });
});
