// Bundles of trust anchors (ClusterTrustBundle), of a signer or of nobody in particular: certificates of authorities in PEM,
// each once. The name of a signer's bundle begins with the signer's.

import { X509Certificate } from "node:crypto";
import { column, nameColumn } from "../../../api/encode/table/columns.ts";
import { type FieldError, invalidValue, tooLong } from "../../../api/meta/field-error.ts";
import { byteLength, isDNS1123Subdomain } from "../../../api/meta/names.ts";
import { clustertrustbundlesV1beta1 } from "../../../api/optional-resources.generated.ts";
import type { ClusterTrustBundle } from "../../../api/types/certificates-v1beta1.ts";
import { validateMetadataChanges } from "../../../api/validation/object-meta.ts";
import { addProblems, checkImmutable } from "../../../api/validation/rules.ts";
import { validateSignerName } from "../../../api/validation/signer-name.ts";
import { appendAll } from "../../../base/append-all.ts";
import { pemBlocks } from "../../../base/x509/pem.ts";
import { describe } from "./describe.ts";

const maxBundleBytes = 1024 * 1024;
const field = "spec.trustBundle";

export function validateTrustBundle(bundle: ClusterTrustBundle, old?: ClusterTrustBundle): FieldError[] {
  const errors: FieldError[] = [];
  const { signerName = "", trustBundle = "" } = bundle.spec ?? {};
  // A name is looked at again, as it depends on the signer.
  if (old) addProblems(errors, "metadata.name", bundle.metadata.name, nameProblems(bundle.metadata.name, signerName));
  if (signerName !== "") validateSignerName(errors, "spec.signerName", signerName);
  if (old === undefined || trustBundle !== old.spec.trustBundle) validateAnchors(errors, trustBundle);
  if (!old) return errors;
  appendAll(errors, validateMetadataChanges(bundle, old));
  checkImmutable(errors, "spec.signerName", signerName, old.spec.signerName ?? "");
  return errors;
}

function nameProblems(name: string, signerName: string): readonly string[] {
  if (signerName === "")
    return name.includes(":") ? ['ClusterTrustBundle without signer name must not have ":" in its name'] : isDNS1123Subdomain(name);
  const prefix = `${signerName.replaceAll("/", ":")}:`;
  if (!name.startsWith(prefix)) return [`ClusterTrustBundle for signerName ${signerName} must be named with prefix ${prefix}`];
  return isDNS1123Subdomain(name.slice(prefix.length));
}

function validateAnchors(errors: FieldError[], pem: string): void {
  if (byteLength(pem) > maxBundleBytes) {
    errors.push(tooLong(field, maxBundleBytes));
    return;
  }
  const before = errors.length;
  const indices = new Map<string, number[]>();
  for (const [i, { type, body }] of pemBlocks(pem).entries()) {
    const problem = blockProblem(type, body);
    if (problem !== undefined) errors.push(invalidValue(field, "<value omitted>", `entry ${i} ${problem}`));
    else indices.set(body.replace(/\s/g, ""), [...(indices.get(body.replace(/\s/g, "")) ?? []), i]);
  }
  if (errors.length > before) return;
  if (indices.size === 0) errors.push(invalidValue(field, "<value omitted>", "at least one trust anchor must be provided"));
  for (const same of indices.values())
    if (same.length > 1) errors.push(invalidValue(field, "<value omitted>", `duplicate trust anchor (indices [${same.join(" ")}])`));
}

function blockProblem(type: string, body: string): string | undefined {
  if (type !== "CERTIFICATE") return `has bad block type: ${type}`;
  if (body.includes(":")) return "has PEM block headers";
  try {
    const certificate = new X509Certificate(Buffer.from(body, "base64"));
    return certificate.ca ? undefined : "does not have the CA bit set";
  } catch {
    return "does not parse as X.509";
  }
}

export const trustBundleDefinition = describe<ClusterTrustBundle>(clustertrustbundlesV1beta1, {
  // What a name may be depends on the signer.
  validateName: (name, _prefix, bundle) => nameProblems(name, bundle.spec?.signerName ?? ""),
  create: { validate: (bundle) => validateTrustBundle(bundle) },
  update: { validate: validateTrustBundle },
  metadataOnUpdate: ["whole"],
  allowUnconditionalUpdate: false,
  selectableFields: { "spec.signerName": ({ spec }) => spec.signerName ?? "" },
  table: {
    columns: [nameColumn, column("SignerName", "The signer whose certificates are vouched for by the bundle.")],
    cells: ({ metadata, spec }) => [metadata.name, spec.signerName || "<none>"],
  },
});
