// The certificate authorities that the machine trusts, as programs in Go find them: SSL_CERT_FILE, or the first bundle that
// is there. Node by itself knows only those it was built with.
import { readFile } from "node:fs/promises";

const bundles = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/tls/cacert.pem",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/** PEM; undefined where there is no bundle, and Node's own authorities have to do. */
export async function machineRoots(env: Readonly<Record<string, string | undefined>> = process.env): Promise<string | undefined> {
  const { SSL_CERT_FILE: chosen } = env;
  for (const path of chosen ? [chosen] : bundles) {
    try {
      return await readFile(path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT")
        throw new Error(`reading certificate authorities from ${path}`, { cause: error });
    }
  }
  return undefined;
}
