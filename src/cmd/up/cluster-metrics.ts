// The metrics server of `coracle up`: in the cluster's own process, on an address of this machine, with certificates of the
// cluster's authority.
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import { hostAddresses } from "../../linux/system-info.ts";
import { type MetricsServerOptions, startMetricsServer } from "../../metrics-server/metrics-server.ts";
import { metricsServerUser, serviceName, unregister } from "../../metrics-server/registration.ts";
import type { Dial } from "../../rpc/dial.ts";
import type { RunningApiServer } from "../apiserver/start-apiserver.ts";

interface Shared {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Reaches kubelets that are in this process. */
  readonly dial?: Dial | undefined;
}

const administrator = { name: "system:admin", groups: ["system:masters", "system:authenticated"] };
const nothing: Running = { stop: async () => undefined };

/** Without `enabled` what an earlier start has registered is taken away. A cluster does not fail for want of a metrics server. */
export async function startClusterMetrics(
  server: RunningApiServer,
  enabled: boolean,
  { clock, logger, dial }: Shared,
  options: Omit<MetricsServerOptions, "serving"> = {},
): Promise<Running> {
  const registrar = server.clientFor(administrator);
  if (!enabled) {
    await unregister(registrar);
    return nothing;
  }
  const [own] = await hostAddresses();
  if (!own) {
    logger.warn("There is no metrics server: this machine has only loopback addresses, which endpoints may not be");
    return nothing;
  }
  const { name, groups } = metricsServerUser;
  const [kubelets, serving] = await Promise.all([
    server.pki.leaf("metrics-server-kubelet-client", { commonName: name, organizations: groups, usages: ["clientAuth"] }),
    server.pki.leaf("metrics-server", {
      ...{ commonName: "metrics-server", names: [`${serviceName}.kube-system.svc`, own.address], usages: ["serverAuth"] },
    }),
  ]);
  const starting = startMetricsServer(
    {
      client: server.clientFor({ name, groups: [...groups, "system:authenticated"] }),
      ...{ registrar, clock, logger },
      kubelets: {
        ...{ caPem: server.caPem, dial },
        credentials: { kind: "certificate", certPem: kubelets.certificate, keyPem: kubelets.key },
      },
    },
    { ...options, serving: { address: own.address, port: 0, cert: serving.certificate, key: serving.key } },
  );
  return starting.catch((error: unknown) => {
    logger.warn("There is no metrics server", { error });
    return nothing;
  });
}
