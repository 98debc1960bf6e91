// Certificates of pods with a signer that the test plays: asked for, written, renewed with another key, refused.
import { createPrivateKey, createPublicKey } from "node:crypto";
import { describe, expect, test } from "vitest";
import { podcertificaterequestsV1beta1 as requests } from "../../api/optional-resources.generated.ts";
import { serviceaccounts } from "../../api/resources.generated.ts";
import type { PodCertificateRequest } from "../../api/types/certificates-v1beta1.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import { formatTime, VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { encodePem } from "../../base/x509/pem.ts";
import { parseSigningRequest } from "../../base/x509/signing-request.ts";
import { createClient } from "../../client/create-client.ts";
import type { EventRecorder } from "../../client/event-recorder.ts";
import { createFakeApi } from "../../testing/fake-api.ts";
import { PodCertificates } from "./pod-certificates.ts";

const wanted = { signerName: "example.com/mesh", keyType: "ECDSAP256", credentialBundlePath: "bundle.pem", maxExpirationSeconds: 3600 };
const place = { volume: "id", index: 1 };
const hourMs = 3_600_000;

async function setUp() {
  const clock = new VirtualClock();
  const client = createClient(createFakeApi(clock, [requests]));
  const account = await client.create(serviceaccounts, { metadata: { namespace: "shop", name: "default" } as { readonly name: string } });
  const events: string[] = [];
  const changed: string[] = [];
  const metrics = new MetricsRegistry();
  const certificates = new PodCertificates({
    ...{ client, clock, logger: silentLogger, metrics, nodeName: "n1", nodeUid: () => "node-uid" },
    recorder: {
      record: (_about: unknown, { reason, message }: { reason: string; message: string }) => void events.push(`${reason}: ${message}`),
    } as unknown as EventRecorder, // all that is used of it
    onChange: (uid) => void changed.push(uid),
  });
  const pod = { metadata: { namespace: "shop", name: "web", uid: "u1" }, spec: { containers: [] } } as unknown as Pod; // what is read of it
  const bundle = () => certificates.bundle(pod, place, wanted);
  /** The request that is open, once there is one. */
  const open = async (): Promise<PodCertificateRequest> => {
    for (let tries = 0; tries < 1000; tries++) {
      const { items } = await client.list(requests, { namespace: "shop" });
      const found = items.find(({ status }) => !status?.conditions?.length);
      if (found) return found;
      await clock.advance(1);
      await new Promise((resolve) => setImmediate(resolve));
    }
    throw new Error("nothing was asked for");
  };
  const answer = async (request: PodCertificateRequest, status: object): Promise<void> => {
    const { namespace = "", name } = request.metadata;
    await client.patch(requests, { namespace, name }, { status }, { type: "merge", subresource: "status" });
    await clock.advance(10);
  };
  const issue = async (request: PodCertificateRequest, chain: string): Promise<void> => {
    const now = clock.now();
    const [beginRefreshAt, notAfter] = [formatTime(now + hourMs / 2), formatTime(now + hourMs)];
    const conditions = [{ type: "Issued", status: "True", reason: "Signed", message: "", lastTransitionTime: formatTime(now) }];
    await answer(request, { conditions, certificateChain: chain, beginRefreshAt, notAfter, notBefore: formatTime(now) });
  };
  return { clock, client, account, certificates, metrics, events, changed, bundle, open, answer, issue };
}

const chainOf = (text: string): string => `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`;

describe("PodCertificates", () => {
  test("asks in the pod's name, and gives what was issued with the key it is for", async () => {
    const f = await setUp();
    expect(f.bundle).toThrow("credential bundle is not issued yet");
    const request = await f.open();
    expect(request.metadata.ownerReferences).toEqual([{ apiVersion: "v1", kind: "Pod", name: "web", uid: "u1" }]);
    expect(request.spec).toMatchObject({
      ...{ signerName: "example.com/mesh", podName: "web", podUID: "u1", nodeName: "n1", nodeUID: "node-uid" },
      ...{ serviceAccountName: "default", serviceAccountUID: f.account.metadata.uid, maxExpirationSeconds: 3600 },
    });
    await f.issue(request, `said by the signer\n${chainOf("QUJD")}`);
    expect(f.changed).toEqual(["u1"]);
    const { key, chain } = f.bundle();
    expect(chain).toBe(chainOf("QUJD"));
    const stub = (request.spec as { readonly stubPKCS10Request?: string }).stubPKCS10Request ?? "";
    const asked = parseSigningRequest(encodePem("CERTIFICATE REQUEST", Buffer.from(stub, "base64")));
    expect(asked.subject).toEqual({ commonName: "", organizations: [] });
    expect(createPublicKey(createPrivateKey(key)).equals(asked.publicKey)).toBe(true);
    await f.certificates.stop();
  });

  test("renews in time with another key, keeps the old one until then, and says when it is late", async () => {
    const f = await setUp();
    expect(f.bundle).toThrow();
    await f.issue(await f.open(), chainOf("QUJD"));
    const first = f.bundle();
    await f.clock.advance(hourMs / 2 - 60_000);
    expect((await f.client.list(requests, { namespace: "shop" })).items).toHaveLength(1);
    await f.clock.advance(7 * 60_000);
    const second = await f.open();
    expect(f.bundle()).toBe(first);
    expect(f.metrics.text()).toContain('kubelet_podcertificate_states{signer_name="example.com/mesh",state="fresh"} 1');
    await f.clock.advance(hourMs / 2);
    expect(f.events).toEqual([
      "CertificateOverdueForRefresh: PodCertificate refresh overdue",
      "CertificateExpired: PodCertificate expired",
    ]);
    expect(f.metrics.text()).toContain('state="expired"} 1');
    await f.issue(second, chainOf("REVG"));
    expect(f.bundle().chain).toBe(chainOf("REVG"));
    expect(f.bundle().key).not.toBe(first.key);
    await f.certificates.stop();
  });

  test("asks again when a request was deleted, and no more when it was refused", async () => {
    const f = await setUp();
    expect(f.bundle).toThrow();
    const { namespace = "", name } = (await f.open()).metadata;
    await f.client.delete(requests, { namespace, name });
    await f.clock.advance(16 * 60_000);
    const again = await f.open();
    expect(again.metadata.name).not.toBe(name);
    const condition = {
      type: "Denied",
      status: "True",
      reason: "Policy",
      message: "not this pod",
      lastTransitionTime: formatTime(f.clock.now()),
    };
    await f.answer(again, { conditions: [condition] });
    expect(f.bundle).toThrow('PodCertificateRequest was permanently denied: reason="Policy" message="not this pod"');
    expect(f.events).toEqual([
      `Denied: PodCertificateRequest shop/${again.metadata.name} was denied, reason="Policy", message="not this pod"`,
    ]);
    await f.clock.advance(hourMs);
    expect((await f.client.list(requests, { namespace: "shop" })).items).toHaveLength(1);
    f.certificates.forget("u1");
    expect(f.metrics.text()).not.toContain('state="denied"');
    await f.certificates.stop();
  });
});
