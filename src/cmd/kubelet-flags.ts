// The flags of `coracle kubelet`: upstream's names and units, so that a unit file written for a kubelet starts this one. Those
// that stand for fields of the configuration are in kubelet-configuration-flags.ts; those that have nothing to set here are
// taken and listed as such.
import type { Taint } from "../api/types/core-v1.ts";
import { boolean, type FlagType, type FlagValues, flag, flagsWithoutEffect, integer, list, optionalText, text } from "../base/flags.ts";
import { vmoduleFlag } from "../base/log-flags.ts";
import { cniPluginFlags } from "./cni-plugin-choice.ts";
import { parseCommand } from "./command-flags.ts";

import { defaultDataDir } from "./data-dir.ts";
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
} as const;

/** Upstream's that change what a kubelet does and are not there yet: refused when given. */
const refused = ["cloud-provider", "reserved-memory"] as const;

const refusedFlags = Object.fromEntries(
  refused.map((name) => [name, flag(optionalText, undefined, "not supported yet by coracle kubelet")]),
) as Readonly<Record<(typeof refused)[number], ReturnType<typeof flag<string | undefined>>>>; // the names are lost on the way

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
  ...refusedFlags,
  ...flagsWithoutEffect(withoutEffect),
};

export type KubeletFlagValues = FlagValues<typeof kubeletFlags>;

export interface KubeletInput {
  readonly values: KubeletFlagValues;
  readonly given: ReadonlySet<string>;
  /** Flags that were given and do nothing. */
  readonly ignored: readonly string[];
  readonly refused: readonly string[];
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
    refused: refused.filter((name) => (input.values[name] ?? "") !== ""),
  };
}
