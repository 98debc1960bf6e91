// The table of certificate signing requests.
import type { CertificateSigningRequest } from "../../types/certificates-v1.ts";
import { age, ageColumn, column, nameColumn } from "./columns.ts";
import { fieldTexts as texts } from "./field-texts.ts";
import { humanDuration } from "./human-duration.ts";
import type { TableConvertor } from "./table.ts";

/** "Approved,Issued". */
function conditionText({ status }: CertificateSigningRequest): string {
  const has = (type: string): boolean => status?.conditions?.some((condition) => condition.type === type) ?? false;
  const decision = has("Denied") ? "Denied" : has("Approved") ? "Approved" : "Pending";
  return `${decision}${has("Failed") ? ",Failed" : ""}${status?.certificate ? ",Issued" : ""}`;
}

export const certificateSigningRequestTable: TableConvertor<CertificateSigningRequest> = {
  columns: [
    nameColumn,
    ageColumn,
    column("SignerName", texts.CertificateSigningRequestSpec.signerName),
    column("Requestor", texts.CertificateSigningRequestSpec.request),
    column("RequestedDuration", texts.CertificateSigningRequestSpec.expirationSeconds),
    column("Condition", texts.CertificateSigningRequestStatus.conditions),
  ],
  cells: (request, nowMs) => {
    const { metadata, spec } = request;
    const { expirationSeconds } = spec;
    return [
      metadata.name,
      age(request, nowMs),
      spec.signerName || "<none>",
      spec.username ?? "",
      expirationSeconds === undefined ? "<none>" : humanDuration(expirationSeconds * 1000),
      conditionText(request),
    ];
  },
};
