// Certificates of nodes while `coracle up` runs: those it has issued are looked at once a day, and issued anew long before they
// expire. Whoever presents them takes the new ones over from their files.
import type { Clock } from "../../base/clock.ts";
import { followFiles } from "../../base/followed-files.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { ServerCertificates } from "../../kubelet/server/server.ts";
import type { CertificateFiles, PemPair } from "./pki.ts";

interface RenewDeps {
  readonly clock: Clock;
  readonly logger: Logger;
}

const lookMs = 24 * 3_600_000;

/** `issue` issues what is about to expire, and only that. */
export function issueDaily({ clock, logger }: RenewDeps, issue: () => Promise<unknown>): Running {
  let issuing: Promise<unknown> | undefined;
  const timer = clock.every(lookMs, () => {
    issuing ??= issue()
      .catch((error: unknown) => logger.error("Certificates of nodes cannot be renewed", { error: errorText(error) }))
      .finally(() => {
        issuing = undefined;
      });
  });
  return {
    async stop() {
      timer.cancel();
      await issuing;
    },
  };
}

/** What a kubelet's server does to have the certificate that is in the files. */
export function followPair(deps: RenewDeps, { certFile, keyFile }: CertificateFiles, current: ServerCertificates) {
  return (use: (certificates: ServerCertificates) => void): Running => {
    const files = [
      { path: certFile, contents: current.cert },
      { path: keyFile, contents: current.key },
    ];
    const failed = (error: unknown): void => deps.logger.error("Certificates not reloaded, the old ones stay", { error });
    return followFiles(files, {
      ...{ clock: deps.clock, failed },
      changed: ([cert = current.cert, key = current.key]) => {
        use({ ...current, cert, key });
        deps.logger.info("Certificates of the server changed");
      },
    });
  };
}

/** The same for a server of this process: no file has to be looked at. */
export function followIssued(deps: RenewDeps, issue: () => Promise<PemPair>, current: ServerCertificates) {
  return (use: (certificates: ServerCertificates) => void): Running => {
    let { cert } = current;
    return issueDaily(deps, async () => {
      const { certificate, key } = await issue();
      if (certificate === cert) return;
      cert = certificate;
      use({ ...current, cert, key });
      deps.logger.info("Certificates of the server changed");
    });
  };
}
