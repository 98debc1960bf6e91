// The loops of a cluster that runs in one process: its controllers and its scheduler, each under the identity it would have as a
// process of its own.
import type { Clock } from "../../base/clock.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import { podResourcesText } from "../../scheduler/pod-resource-figures.ts";
import type { RunningApiServer } from "../apiserver/start-apiserver.ts";
import type { VolumeFlagValues } from "../controller-manager/volume-flags.ts";
import type { SchedulerFiles, SchedulerInput } from "../scheduler/scheduler-setup.ts";

export interface ClusterLoopsDeps {
  readonly server: RunningApiServer;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface ClusterLoopsOptions {
  /** As --controllers has it: a comma list of names, * for all, -name to leave one out. */
  readonly controllers: string;
  readonly clusterCidrs: readonly string[];
  readonly serviceCidrs: readonly string[];
  readonly nodeMonitorGracePeriodMs: number;
  readonly scheduler: SchedulerFiles;
  /** What these files said, read beforehand. */
  readonly schedulerSetup?: SchedulerInput | undefined;
  /** Of claims and volumes; without them upstream's defaults. */
  readonly volumes?: VolumeFlagValues;
  /** Ports of this machine for health and metrics; 0 serves none. Default: nothing is measured or served. */
  readonly ports?: { readonly controllerManager: number; readonly scheduler: number };
}

/** Resolves when they run. Throws CommandError. */
export async function startClusterLoops({ server, clock, logger }: ClusterLoopsDeps, options: ClusterLoopsOptions): Promise<Running> {
  const [{ startControllerManager }, { checkedSelection }, { startSchedulerFromFiles }] = await Promise.all([
    import("../controller-manager/controller-manager.ts"),
    import("../controller-manager/controller-manager-flags.ts"),
    import("../scheduler/scheduler.ts"),
  ]);
  const { controllers: selection, clusterCidrs, serviceCidrs, nodeMonitorGracePeriodMs, scheduler, ports } = options;
  const volumes = options.volumes && (await (await import("../controller-manager/volume-flags.ts")).volumeOptions(options.volumes));
  const served = ports && (await import("./up-metrics.ts"));
  const measured = served?.createLoopMetrics(clock);
  const asComponent = (name: string) => server.clientFor({ name, groups: ["system:authenticated"] });
  const accountGroups = ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"];
  const clientFor = (account: string) => server.clientFor({ name: `system:serviceaccount:kube-system:${account}`, groups: accountGroups });
  const [managerClient, schedulerClient] = [asComponent("system:kube-controller-manager"), asComponent("system:kube-scheduler")];
  const stack = new StopStack();
  try {
    const controllers = stack.add(
      await startControllerManager(
        {
          ...{ client: managerClient, clientFor, clock, logger: logger.named("controllers") },
          ...(measured ? { metrics: measured.controllers.metrics } : {}),
        },
        {
          controllers: checkedSelection(withJoining(selection.split(","))),
          ...{ rootCaPem: server.caPem, clusterCidrs, serviceCidrs, nodeMonitorGracePeriodMs, clusterSigning: server.pki.ca },
          ...(volumes ? { volumes } : {}),
        },
      ),
    );
    const schedulerDeps = { client: schedulerClient, clock, logger: logger.named("scheduler") };
    const { pods } = stack.add(
      await startSchedulerFromFiles(
        measured ? { ...schedulerDeps, metrics: measured.scheduler.metrics } : schedulerDeps,
        scheduler,
        options.schedulerSetup,
      ),
    );
    server.componentChecks.set("controller-manager", () => controllers.problems());
    server.componentChecks.set("scheduler", () => new Map());
    if (served && measured) {
      const loops = [
        {
          ...{ name: "kube-controller-manager", port: ports.controllerManager, client: managerClient },
          ...{ registry: measured.controllers.registry, checks: () => controllers.problems(), configuration: {} },
        },
        {
          ...{ name: "kube-scheduler", port: ports.scheduler, client: schedulerClient },
          ...{ registry: measured.scheduler.registry, checks: () => new Map(), configuration: {} },
          pages: { "/metrics/resources": () => podResourcesText(pods()) },
        },
      ];
      // Nobody waits for it.
      const serving = served.serveLoops(loops, { clock, logger, clientCaPem: server.caPem });
      serving.catch((error: unknown) => logger.error("Health and metrics of the loops are not served", { error }));
      stack.defer(async () => (await serving.catch(() => undefined))?.stop());
    }
    return stack;
  } catch (error) {
    await stack.stop();
    throw error;
  }
}

/** The controllers that machines need to join with a token, unless they are left out. */
function withJoining(selection: readonly string[]): readonly string[] {
  const joining = ["bootstrap-signer-controller", "token-cleaner-controller", "kubelet-serving-approver-controller"];
  return selection.includes("*") ? [...selection, ...joining.filter((name) => !selection.includes(`-${name}`))] : selection;
}
