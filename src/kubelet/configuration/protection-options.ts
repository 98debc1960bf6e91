// How a node protects itself, from its configuration: reservations and hard eviction thresholds.
import { parseQuantity } from "../../api/meta/quantity.ts";
import type { KubeletOptions } from "../options.ts";
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

export function protectionOptionsOf(configuration: KubeletConfiguration): Partial<KubeletOptions> {
  const { systemReserved, kubeReserved } = reservationsOf(configuration);
  const both = [systemReserved, kubeReserved];
  const sum = (name: string, amountOf: (text: string) => number): number =>
    both.reduce((total, { [name]: text }) => total + (text === undefined ? 0 : amountOf(text)), 0);
  const { evictionHard } = configuration;
  const fraction = (signal: string): number => Number((evictionHard[signal] ?? "0%").replace("%", "")) / 100;
  return {
    reservedMilliCpu: sum("cpu", (text) => parseQuantity(text).milliValue()),
    reservedMemoryBytes: sum("memory", (text) => parseQuantity(text).value()),
    evictionHard: {
      memoryBytes: parseQuantity(evictionHard["memory.available"] ?? "0").value(),
      diskFraction: fraction("nodefs.available"),
      inodeFraction: fraction("nodefs.inodesFree"),
      pidFraction: fraction("pid.available"),
    },
  };
}
