// With what certificate the API server reaches kubelets, and whose serving certificates it believes: the flags' files, or the
// cluster's own.
import type { KubeletAccess } from "../../apiserver/connect/connects.ts";
import type { KubeletClientSettings } from "../../apiserver/edge-options.ts";
import { readPem } from "../component/serve-component.ts";
import type { Pki } from "../credentials/pki.ts";

/** Throws CommandError. */
export async function loadKubeletClient(settings: KubeletClientSettings, pki: Pki): Promise<KubeletAccess> {
  const { certificateFile, keyFile, authorityFile, preferredAddressTypes } = settings;
  const own = pki.apiserverKubeletClient;
  const [cert, key, ca] = await Promise.all([
    certificateFile === undefined ? own.certificate : readPem("kubelet-client-certificate", certificateFile),
    keyFile === undefined ? own.key : readPem("kubelet-client-key", keyFile),
    authorityFile === undefined ? pki.ca.pem.certificate : readPem("kubelet-certificate-authority", authorityFile),
  ]);
  return { tls: { cert, key, ca }, ...(preferredAddressTypes ? { preferredAddressTypes } : {}) };
}
