// With what certificate the API server reaches kubelets, and whose serving certificates it believes: the flags' files, followed
// as they change, or the cluster's own.
import { createSecureContext } from "node:tls";
import type { KubeletAccess } from "../../apiserver/connect/connects.ts";
import type { KubeletClientSettings } from "../../apiserver/edge-options.ts";
import { followFiles } from "../../base/followed-files.ts";
import type { Running } from "../../base/lifecycle.ts";
import { readPem } from "../component/serve-component.ts";
import type { Pki } from "../credentials/pki.ts";
import type { MaterialDeps } from "./serving-material.ts";

export interface KubeletClient extends Running {
  readonly access: Pick<KubeletAccess, "tls" | "preferredAddressTypes">;
}

/** Throws CommandError. */
export async function openKubeletClient(settings: KubeletClientSettings, pki: Pki, deps: MaterialDeps): Promise<KubeletClient> {
  const { certificateFile, keyFile, authorityFile, preferredAddressTypes } = settings;
  const own = pki.apiserverKubeletClient;
  const [cert, key, ca] = await Promise.all([
    certificateFile === undefined ? own.certificate : readPem("kubelet-client-certificate", certificateFile),
    keyFile === undefined ? own.key : readPem("kubelet-client-key", keyFile),
    authorityFile === undefined ? pki.ca.pem.certificate : readPem("kubelet-certificate-authority", authorityFile),
  ]);
  let tls = { cert, key, ca };
  const files = [
    { part: "cert", path: certificateFile, contents: cert },
    { part: "key", path: keyFile, contents: key },
    { part: "ca", path: authorityFile, contents: ca },
  ].flatMap(({ path, ...file }) => (path === undefined ? [] : [{ ...file, path }]));
  const access = { tls: () => tls, ...(preferredAddressTypes ? { preferredAddressTypes } : {}) };
  if (files.length === 0) return { access, stop: async () => undefined };
  const followed = followFiles(files, {
    clock: deps.clock,
    changed: (texts) => {
      const next = { ...tls, ...Object.fromEntries(files.map(({ part }, i) => [part, texts[i] ?? ""])) };
      // Throws where they do not belong together, as while one of two has been replaced.
      createSecureContext(next);
      tls = next;
    },
    failed: (error) =>
      deps.logger.error("Credentials for kubelets not reloaded, the old ones stay", {
        files: files.map(({ path }) => path).join(", "),
        error,
      }),
  });
  return { access, stop: () => followed.stop() };
}
