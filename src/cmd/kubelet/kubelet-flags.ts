// The flags of `coracle kubelet`: upstream's names and units, so that a unit file written for a kubelet starts this one. Those
// that stand for fields of the configuration are in kubelet-configuration-flags.ts; those that have nothing to set here are
// taken and listed as such.
import type { Taint } from "../../api/types/core-v1.ts";
import { boolean, type FlagType, type FlagValues, flag, flagsWithoutEffect, integer, list, optionalText, text } from "../../base/flags.ts";
import { vmoduleFlag } from "../../base/log-flags.ts";
import { parseCommand } from "../command-flags.ts";
import { defaultDataDir } from "../data-dir.ts";
import { cniPluginFlags } from "../node/cni-plugin-choice.ts";
import { configurationFlags } from "./kubelet-configuration-flags.ts";
import { ociRuntimeFlags } from "./oci-runtime-flag.ts";

export const nodeLabels: FlagType<Readonly<Record<string, string>> | undefined> = {
  placeholder: "key=value,…",
  parse(value, previous) {
    const pairs = value.split(",").filter((pair) => pair !== "");
    return { ...previous, ...Object.fromEntries(pairs.map((pair) => keyAndValue(pair))) };
  },
};

function keyAndValue(pair: string): readonly [string, string] {
  const at = pair.indexOf("=");
  if (at <= 0) throw new Error(`expected key=value, not ${JSON.stringify(pair)}`);
  return [pair.slice(0, at), pair.slice(at + 1)];
}

export const nodeTaints: FlagType<readonly Taint[] | undefined> = {
  placeholder: "key=value:effect,…",
  parse: (value, previous) => [
    ...(previous ?? []),
    ...value
      .split(",")
      .filter((t) => t !== "")
      .map(parseTaint),
  ],
};

function parseTaint(written: string): Taint {
  const match = /^([^=:]+)(?:=([^:]*))?:(NoSchedule|PreferNoSchedule|NoExecute)$/.exec(written);
  const [, key, value, effect] = match ?? [];
  if (key === undefined || effect === undefined) throw new Error(`expected key=value:effect, not ${JSON.stringify(written)}`);
  return { key, effect: effect as Taint["effect"], ...(value ? { value } : {}) };
}

/** One of a NUMA node's memory that is not for pods. */
export interface ReservedMemory {
  readonly numaNode: number;
  readonly limits: Readonly<Record<string, string>>;
}

const memoryReservations: FlagType<readonly ReservedMemory[] | undefined> = {
  placeholder: "node:type=quantity,…",
  parse: (value, previous) => [...(previous ?? []), ...value.split(";").filter(Boolean).map(reservedMemory)],
};

function reservedMemory(written: string): ReservedMemory {
  const [node = "", amounts, ...more] = written.split(":");
  if (amounts === undefined || more.length > 0)
    throw new Error(`the reserved memory has incorrect format, expected numaNodeID:type=quantity[,type=quantity...], got ${written}`);
  if (!/^[+-]?\d+$/.test(node)) throw new Error(`failed to convert the NUMA node ID, expected integer, got ${node}`);
  const limits = amounts.split(",").map((amount) => {
    const [type = "", quantity, ...rest] = amount.split("=");
    if (quantity === undefined || rest.length > 0)
      throw new Error(`the reserved limit has incorrect value, expected type=quantity, got ${amount}`);
    if (type !== "memory" && !type.startsWith("hugepages-"))
      throw new Error(`memory type conversion error, unknown type: ${JSON.stringify(type)}`);
    return [type, quantity] as const;
  });
  return { numaNode: Number(node), limits: Object.fromEntries(limits) };
}

const headerList: FlagType<Readonly<Record<string, readonly string[]>> | undefined> = {
  placeholder: "name:value,…",
  parse: (value, previous) => {
    const headers: Record<string, readonly string[]> = { ...previous };
    for (const pair of value.split(",").filter((p) => p.trim() !== "")) {
      const at = pair.indexOf(":");
      if (at < 0) throw new Error(`malformed pair, expect string:string, not ${JSON.stringify(pair)}`);
      const name = pair.slice(0, at).trim();
      headers[name] = [...(headers[name] ?? []), pair.slice(at + 1).trim()];
    }
    return headers;
  },
};

const withoutEffect = {
  "exit-on-lock-contention": "true",
  "experimental-allocatable-ignore-eviction": "true",
  "experimental-mounter-path": undefined,
  "lock-file": undefined,
  "log-flush-frequency": undefined,
  "log-json-info-buffer-size": undefined,
  "log-json-split-stream": "true",
  "log-text-info-buffer-size": undefined,
  "log-text-split-stream": "true",
  "maximum-dead-containers": undefined,
  "maximum-dead-containers-per-container": undefined,
  "minimum-container-ttl-duration": undefined,
  "runtime-cgroups": undefined,
  // Of the part of upstream's kubelet that measures containers.
  "application-metrics-count-limit": undefined,
  "boot-id-file": undefined,
  "container-hints": undefined,
  containerd: undefined,
  "containerd-namespace": undefined,
  "enable-load-reader": "true",
  "event-storage-age-limit": undefined,
  "event-storage-event-limit": undefined,
  "global-housekeeping-interval": undefined,
  "housekeeping-interval": undefined,
  "log-cadvisor-usage": "true",
  "machine-id-file": undefined,
  "max-housekeeping-interval": undefined,
  "storage-driver-buffer-duration": undefined,
  "storage-driver-db": undefined,
  "storage-driver-host": undefined,
  "storage-driver-password": undefined,
  "storage-driver-secure": "true",
  "storage-driver-table": undefined,
  "storage-driver-user": undefined,
} as const;

export const kubeletFlags = {
  config: flag(optionalText, undefined, "file with a KubeletConfiguration (kubelet.config.k8s.io/v1beta1)"),
  "config-dir": flag(optionalText, undefined, "directory of drop-ins (*.conf), merged into the configuration in the order of their names"),
  kubeconfig: flag(optionalText, undefined, "how to reach the API server; default $KUBECONFIG, ~/.kube/config"),
  "bootstrap-kubeconfig": flag(
    optionalText,
    undefined,
    "how to ask for a client certificate where --kubeconfig is not there yet; that file is written then",
  ),
  "cert-dir": flag(optionalText, undefined, "directory of the node's certificates; default <root-dir>/pki"),
  "hostname-override": flag(optionalText, undefined, "the node's name; default this machine's"),
  "data-dir": flag(text, defaultDataDir(), "directory of the runtime and of the kubelet"),
  ...cniPluginFlags,
  "root-dir": flag(optionalText, undefined, "directory of the kubelet's own files; default <data-dir>/kubelet"),
  "node-labels": flag(nodeLabels, undefined, "labels to register the node with"),
  "node-ip": flag(list, [], "addresses of the node, the primary one first; default the machine's"),
  "register-with-taints": flag(nodeTaints, undefined, "taints to register the node with"),
  "register-schedulable": flag(boolean, true, "whether pods may be scheduled to the node at once"),
  ...ociRuntimeFlags,
  "cluster-cidr": flag(list, ["10.244.0.0/16"], "addresses of all pods of the cluster, which are not hidden behind the node's"),
  "image-credential-provider-config": flag(
    optionalText,
    undefined,
    "file, or directory of files, that says which programs give credentials for images",
  ),
  "image-credential-provider-bin-dir": flag(optionalText, undefined, "directory of those programs"),
  vmodule: vmoduleFlag,
  v: flag(integer({ min: 0, max: 10 }), 0, "verbosity of the log", "v"),
  ...configurationFlags,
  "cloud-provider": flag(text, "", '"external" where a cloud\'s controller says what the node is; default none'),
  "reserved-memory": flag(memoryReservations, undefined, "memory of NUMA nodes that is not for pods, e.g. 0:memory=1Gi,hugepages-2Mi=4Mi"),
  "manifest-url-header": flag(headerList, undefined, "headers for requests to --manifest-url, e.g. a:hello,b:again"),
  ...flagsWithoutEffect(withoutEffect),
};

export type KubeletFlagValues = FlagValues<typeof kubeletFlags>;

export interface KubeletInput {
  readonly values: KubeletFlagValues;
  readonly given: ReadonlySet<string>;
  /** Flags that were given and do nothing. */
  readonly ignored: readonly string[];
}

/** Undefined when help was asked for. */
export function parseKubeletFlags(args: readonly string[]): KubeletInput | undefined {
  const input = parseCommand({ name: "kubelet", summary: "Runs this machine as a node of a cluster." }, kubeletFlags, args);
  if (!input) return undefined;
  const given: ReadonlySet<string> = input.given;
  return {
    values: input.values,
    given,
    ignored: Object.keys(withoutEffect).filter((name) => given.has(name)),
  };
}
