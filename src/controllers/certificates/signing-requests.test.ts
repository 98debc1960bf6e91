import { describe, expect, it } from "vitest";
import { encodeBase64 } from "../../api/meta/base64.ts";
import { certificatesigningrequests } from "../../api/resources.generated.ts";
import type { CertificateSigningRequest, CertificateSigningRequestSpec } from "../../api/types/certificates-v1.ts";
import { certificateFromPem, generateKey, issueCertificate, type KeyedCertificate } from "../../base/x509/certificate.ts";
import type { AlternativeNames } from "../../base/x509/names.ts";
import { createSigningRequest } from "../../base/x509/signing-request.ts";
import { type ControllerFixture, createControllerFixture } from "../../testing/controller-fixture.ts";
import { signingRequestApprover, signingRequestCleaner, signingRequestSigner } from "./signing-requests.ts";

const hourMs = 3_600_000;
const startMs = Date.UTC(2026, 0, 1);
const authorityNotAfterMs = startMs + 1000 * 24 * hourMs;
const keys = generateKey();

function authority(): KeyedCertificate {
  const { privateKey, publicKey } = generateKey();
  const certificate = issueCertificate(
    {
      subject: { commonName: "ca", organizations: [] },
      publicKey,
      notBeforeMs: startMs - hourMs,
      notAfterMs: authorityNotAfterMs,
      keyUsages: ["certSign"],
      isAuthority: true,
    },
    { key: privateKey },
  );
  return { certificate, key: privateKey };
}

function request(
  spec: Partial<CertificateSigningRequestSpec> = {},
  { organization = "system:nodes", names = {} }: { organization?: string; names?: Partial<AlternativeNames> } = {},
): CertificateSigningRequestSpec {
  return {
    request: encodeBase64(createSigningRequest({ commonName: "system:node:n1", organizations: [organization] }, keys, names)),
    signerName: "kubernetes.io/kube-apiserver-client-kubelet",
    usages: ["digital signature", "client auth"],
    username: "booter",
    ...spec,
  };
}

/** The API in memory does not decide access: `allowed` are the subresources that reviews allow. */
async function created(
  spec: CertificateSigningRequestSpec,
  { allowed = [], approved = false }: { allowed?: readonly string[]; approved?: boolean } = {},
): Promise<ControllerFixture & { readonly asked: string[] }> {
  const fixture = createControllerFixture({ clusterSigning: authority() });
  const asked: string[] = [];
  fixture.api.intercept = (call) => {
    if (!call.path.endsWith("/subjectaccessreviews")) return;
    const review = call.body as { spec: { user: string; resourceAttributes: { subresource: string } }; status?: object };
    const { subresource } = review.spec.resourceAttributes;
    asked.push(`${review.spec.user} ${subresource}`);
    review.status = { allowed: allowed.includes(subresource) };
  };
  fixture.start(signingRequestApprover, signingRequestSigner, signingRequestCleaner);
  const conditions = [{ type: "Approved", status: "True", lastUpdateTime: "2026-01-01T00:00:00Z" }];
  await fixture.client.create(certificatesigningrequests, {
    metadata: { name: "r" },
    spec,
    ...(approved ? { status: { conditions } } : {}),
  });
  await fixture.settle();
  return Object.assign(fixture, { asked });
}

const found = (fixture: ControllerFixture): Promise<CertificateSigningRequest> =>
  fixture.client.get(certificatesigningrequests, { name: "r" });
const isThere = async (fixture: ControllerFixture): Promise<boolean> =>
  (await fixture.client.list(certificatesigningrequests)).items.length > 0;

async function certificateIn(fixture: ControllerFixture) {
  return certificateFromPem(Buffer.from((await found(fixture)).status?.certificate ?? "", "base64").toString());
}

describe("certificate signing requests", () => {
  it("approves and signs a kubelet's client certificate for whoever may have one for a node", async () => {
    await using fixture = await created(request(), { allowed: ["nodeclient"] });
    expect((await found(fixture)).status?.conditions).toMatchObject([
      { type: "Approved", reason: "AutoApproved", message: "Auto approving kubelet client certificate after SubjectAccessReview." },
    ]);
    expect(fixture.asked).toEqual(["booter nodeclient"]);
    expect(await certificateIn(fixture)).toMatchObject({
      subject: { commonName: "system:node:n1", organizations: ["system:nodes"] },
      extendedKeyUsages: ["clientAuth"],
      isAuthority: false,
      notBeforeMs: startMs - 300_000,
    });
    expect((await certificateIn(fixture)).notAfterMs).toBeCloseTo(startMs + 365 * 24 * hourMs - 300_000, -4);
    expect(fixture.problems).toEqual([]);
  });

  it("lets a kubelet renew its own certificate", async () => {
    await using fixture = await created(request({ username: "system:node:n1" }), { allowed: ["selfnodeclient"] });
    expect((await found(fixture)).status?.conditions?.[0]?.message).toContain("self kubelet client certificate");
  });

  it("leaves a request alone whose maker lacks the right, and asks again later", async () => {
    const allowed: string[] = [];
    await using fixture = await created(request(), { allowed });
    expect((await found(fixture)).status?.conditions).toBeUndefined();
    allowed.push("nodeclient");
    await fixture.clock.advance(10_000);
    expect((await found(fixture)).status?.certificate).toBeDefined();
  });

  it.each([
    [request({}, { organization: "team" }), "subject organization is not system:nodes"],
    [request({}, { names: { dnsNames: ["a"] } }), "DNS subjectAltNames are not allowed"],
    [request({ usages: ["server auth"] }), "usages did not match [client auth digital signature key encipherment]"],
    [request({ signerName: "kubernetes.io/kubelet-serving" }), "DNS or IP subjectAltName is required"],
    [request({ signerName: "kubernetes.io/kube-apiserver-client", usages: ["any"] }), "invalid usage for client certificate: any"],
  ])("fails an approved request that its signer does not sign (%#)", async (spec, message) => {
    await using fixture = await created(spec, { approved: true });
    const { conditions = [], certificate } = (await found(fixture)).status ?? {};
    expect(conditions[1]).toMatchObject({ type: "Failed", reason: "SignerValidationFailure", message });
    expect(certificate).toBeUndefined();
  });

  it("signs serving certificates for as long as asked, and never beyond the authority's end", async () => {
    const serving = { signerName: "kubernetes.io/kubelet-serving", usages: ["server auth", "digital signature"], expirationSeconds: 3600 };
    await using fixture = await created(request(serving, { names: { ipAddresses: ["10.0.0.1"] } }), { approved: true });
    const certificate = await certificateIn(fixture);
    expect(certificate).toMatchObject({ names: { ipAddresses: ["10.0.0.1"] }, extendedKeyUsages: ["serverAuth"] });
    expect(certificate.notAfterMs).toBeLessThanOrEqual(startMs + hourMs + 1000);
  });

  it("does not touch requests of other signers", async () => {
    await using fixture = await created(request({ signerName: "example.com/own" }), { approved: true });
    expect((await found(fixture)).status?.conditions).toHaveLength(1);
  });

  it("removes a request an hour after it was dealt with, and one nobody deals with after a day", async () => {
    await using dealtWith = await created(request(), { allowed: ["nodeclient"] });
    await dealtWith.clock.advance(hourMs - 60_000);
    expect(await isThere(dealtWith)).toBe(true);
    await dealtWith.clock.advance(120_000);
    expect(await isThere(dealtWith)).toBe(false);

    await using pending = await created(request({ signerName: "example.com/own" }));
    await pending.clock.advance(23 * hourMs);
    expect(await isThere(pending)).toBe(true);
    await pending.clock.advance(2 * hourMs);
    expect(await isThere(pending)).toBe(false);
  });
});
