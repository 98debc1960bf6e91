// The certificate that the API server presents to aggregated API servers: theirs is to believe the headers in which it says
// who asks. From --proxy-client-cert-file and --proxy-client-key-file, followed as they change, or the one that the cluster's
// own front-proxy authority has issued.
import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import type { ApiServerSettings } from "../../apiserver/options.ts";
import { followFiles } from "../../base/followed-files.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText } from "../../base/log.ts";
import { CommandError } from "../command-error.ts";
import type { PemPair, Pki } from "../credentials/pki.ts";
import type { MaterialDeps } from "./serving-material.ts";

export interface ProxyClient extends Running {
  /** What to present now; the same object until it changes. */
  current(): PemPair;
}

/** Throws CommandError where the flags' files are not a certificate with its key. */
export async function openProxyClient(settings: ApiServerSettings, pki: Pki, deps: MaterialDeps): Promise<ProxyClient> {
  const files = settings.authentication.proxyClient;
  if (!files) return { current: () => pki.frontProxyClient, stop: async () => undefined };
  const paths = [files.certFile, files.keyFile];
  let current: PemPair;
  let contents: readonly string[];
  try {
    contents = await Promise.all(paths.map((path) => readFile(path, "utf8")));
    current = checkedPair(contents);
  } catch (error) {
    throw new CommandError(`--proxy-client-cert-file, --proxy-client-key-file: ${errorText(error)}`);
  }
  const followed = followFiles(
    paths.map((path, i) => ({ path, contents: contents[i] ?? "" })),
    {
      clock: deps.clock,
      changed: (texts) => {
        current = checkedPair(texts);
      },
      failed: (error) => deps.logger.error("Proxy client certificate not reloaded, the old one stays", { files: paths.join(", "), error }),
    },
  );
  return { current: () => current, stop: () => followed.stop() };
}

/** Throws where the certificate and the key are not a pair. */
function checkedPair([certificate = "", key = ""]: readonly string[]): PemPair {
  createSecureContext({ cert: certificate, key });
  return { certificate, key };
}
