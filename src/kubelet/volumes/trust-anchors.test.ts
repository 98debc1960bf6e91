import { expect, it } from "vitest";
import { notFound } from "../../api/meta/status-error.ts";
import { clustertrustbundlesV1beta1 } from "../../api/optional-resources.generated.ts";
import type { ClusterTrustBundle } from "../../api/types/certificates-v1beta1.ts";
import { VirtualClock } from "../../base/clock.ts";
import type { Client } from "../../client/client.ts";
import { TrustAnchors } from "./trust-anchors.ts";

const pem = (text: string): string => `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`;

it("TrustAnchors joins the bundles that are meant, each certificate once, and remembers them for a minute", async () => {
  const clock = new VirtualClock();
  const bundles: ClusterTrustBundle[] = [];
  const client = {
    async get(_type: unknown, { name }: { readonly name: string }) {
      const found = bundles.find(({ metadata }) => metadata.name === name);
      if (!found) throw notFound(clustertrustbundlesV1beta1, name);
      return found;
    },
    list: async (_type: unknown, { fieldSelector }: { readonly fieldSelector: string }) => ({
      items: bundles.filter(({ spec }) => `spec.signerName=${spec.signerName}` === fieldSelector),
    }),
  };
  const anchors = new TrustAnchors(client as unknown as Client, clock); // what it uses of a client
  const make = (name: string, labels: Readonly<Record<string, string>>, trustBundle: string, signerName = "example.com/ca") =>
    bundles.push({ metadata: { name, labels }, spec: { signerName, trustBundle } } as unknown as ClusterTrustBundle);
  make("example.com:ca:one", { tier: "live" }, pem("B") + pem("A"));
  make("example.com:ca:two", { tier: "live" }, pem("B"));
  make("example.com:ca:old", { tier: "old" }, pem("C"));
  make("other.com:ca:x", { tier: "live" }, pem("D"), "other.com/ca");

  const live = { signerName: "example.com/ca", labelSelector: { matchLabels: { tier: "live" } }, path: "ca.pem" };
  expect(await anchors.of(live)).toBe(pem("A") + pem("B"));
  expect(await anchors.of({ name: "example.com:ca:old", path: "ca.pem" })).toBe(pem("C"));

  make("example.com:ca:new", { tier: "live" }, pem("E"));
  expect(await anchors.of(live)).toBe(pem("A") + pem("B"));
  await clock.advance(60_000);
  expect(await anchors.of(live)).toBe(pem("A") + pem("B") + pem("E"));

  // Without a selector no bundle is meant.
  const none = { signerName: "example.com/ca", path: "ca.pem" };
  await expect(anchors.of(none)).rejects.toThrow("combination of signerName and labelSelector matched zero ClusterTrustBundles");
  expect(await anchors.of({ ...none, optional: true })).toBe("");
  expect(await anchors.of({ name: "absent", optional: true, path: "ca.pem" })).toBe("");
  await expect(anchors.of({ name: "absent", path: "ca.pem" })).rejects.toThrow("not found");
});
