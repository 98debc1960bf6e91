import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import { encodeBase64 } from "../api/meta/base64.ts";
import { configmaps, secrets } from "../api/resources.generated.ts";
import { formatTime } from "../base/clock.ts";
import { type ControllerFixture, createControllerFixture } from "../testing/controller-fixture.ts";
import { bootstrapSigner, detachedSignature, tokenCleaner } from "./bootstrap-tokens.ts";

const at = { namespace: "kube-public", name: "cluster-info" };

function makeToken({ client, clock }: ControllerFixture, id: string, more: Readonly<Record<string, string>> = {}) {
  const texts = {
    "token-id": id,
    "token-secret": "0123456789abcdef",
    "usage-bootstrap-signing": "true",
    expiration: formatTime(clock.now() + 3_600_000),
    ...more,
  };
  const data = Object.fromEntries(Object.entries(texts).map(([key, value]) => [key, encodeBase64(value)]));
  return client.create(secrets, {
    metadata: { namespace: "kube-system", name: `bootstrap-token-${id}` },
    type: "bootstrap.kubernetes.io/token",
    data,
  });
}

describe("detachedSignature()", () => {
  it("is a compact signature with its content taken out, which names the token", () => {
    const [header = "", content, signature] = detachedSignature("the content", { id: "abcdef", secret: "0123456789abcdef" }).split(".");
    expect(Buffer.from(header, "base64url").toString()).toBe('{"alg":"HS256","kid":"abcdef"}');
    expect(content).toBe("");
    const signed = `${header}.${Buffer.from("the content").toString("base64url")}`;
    expect(signature).toBe(createHmac("sha256", "0123456789abcdef").update(signed).digest("base64url"));
  });
});

describe("bootstrapSigner", () => {
  it("signs with every token that may sign, and takes signatures away with their tokens", async () => {
    await using fixture = createControllerFixture();
    await fixture.client.create(configmaps, { metadata: at, data: { kubeconfig: "k", "jws-kubeconfig-gone00": "x" } });
    await makeToken(fixture, "abcdef");
    await makeToken(fixture, "nosign", { "usage-bootstrap-signing": "false" });
    await makeToken(fixture, "expird", { expiration: formatTime(fixture.clock.now() - 1000) });
    fixture.start(bootstrapSigner);
    await fixture.settle();
    const signature = detachedSignature("k", { id: "abcdef", secret: "0123456789abcdef" });
    expect((await fixture.client.get(configmaps, at)).data).toEqual({ kubeconfig: "k", "jws-kubeconfig-abcdef": signature });
    await fixture.client.delete(secrets, { namespace: "kube-system", name: "bootstrap-token-abcdef" });
    await fixture.settle();
    expect((await fixture.client.get(configmaps, at)).data).toEqual({ kubeconfig: "k" });
  });
});

describe("tokenCleaner", () => {
  it("deletes tokens when they expire", async () => {
    await using fixture = createControllerFixture();
    fixture.start(tokenCleaner);
    await makeToken(fixture, "abcdef");
    await makeToken(fixture, "foreve", { expiration: "" });
    await makeToken(fixture, "broken", { expiration: "soon" });
    const names = async () => (await fixture.client.list(secrets)).items.map(({ metadata }) => metadata.name).sort();
    await fixture.settle();
    expect(await names()).toEqual(["bootstrap-token-abcdef", "bootstrap-token-foreve"]);
    await fixture.clock.advance(3_601_000);
    expect(await names()).toEqual(["bootstrap-token-foreve"]);
  });
});
