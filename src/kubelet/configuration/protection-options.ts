// How a node protects itself, from its configuration: reservations, eviction, garbage of images, shutdown, sysctls. The options
// have the fields' own names, and their quantities and durations are texts too.
import type { KubeletOptions, ProtectionOptions } from "../options.ts";
import { parseCpuList } from "./cpu-list.ts";
import type { KubeletConfiguration } from "./kubelet-configuration.ts";

type Amounts = Readonly<Record<string, string>>;

/** CPUs that are named are the system's, and then they are all that is reserved of CPU. */
export function reservationsOf(configuration: KubeletConfiguration): { readonly systemReserved: Amounts; readonly kubeReserved: Amounts } {
  const { systemReserved, kubeReserved, reservedSystemCPUs } = configuration;
  const named = reservedSystemCPUs === "" ? undefined : parseCpuList(reservedSystemCPUs);
  if (!named) return { systemReserved, kubeReserved };
  const { cpu: _cpu, ...others } = kubeReserved;
  return { systemReserved: { ...systemReserved, cpu: String(named.length) }, kubeReserved: others };
}

export function protectionOptionsOf(c: KubeletConfiguration): ProtectionOptions & Pick<KubeletOptions, "allowedUnsafeSysctls"> {
  const { evictionHard, evictionSoft, evictionSoftGracePeriod, evictionMinimumReclaim, evictionMaxPodGracePeriod } = c;
  const { imageGCHighThresholdPercent, imageGCLowThresholdPercent, imageMinimumGCAge, imageMaximumGCAge } = c;
  const { shutdownGracePeriod, shutdownGracePeriodCriticalPods, shutdownGracePeriodByPodPriority } = c;
  const { enforceNodeAllocatable } = c;
  const { evictionPressureTransitionPeriod, mergeDefaultEvictionSettings, localStorageCapacityIsolation, allowedUnsafeSysctls } = c;
  return {
    ...reservationsOf(c),
    enforceNodeAllocatable,
    ...{ evictionHard, evictionSoft, evictionSoftGracePeriod, evictionMinimumReclaim, evictionMaxPodGracePeriod },
    ...{ imageGCHighThresholdPercent, imageGCLowThresholdPercent, imageMinimumGCAge, imageMaximumGCAge },
    ...{ shutdownGracePeriod, shutdownGracePeriodCriticalPods, shutdownGracePeriodByPodPriority },
    ...{ evictionPressureTransitionPeriod, mergeDefaultEvictionSettings, localStorageCapacityIsolation, allowedUnsafeSysctls },
  };
}
