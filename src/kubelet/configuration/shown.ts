// A configuration as /configz shows it: v1beta1 with its kind, every default filled in, and without the fields that say nothing.
// Which those are follows from upstream's types: those that cannot tell "not given" from zero.
import { resolveKubeletGates } from "./feature-gates.ts";
import type { Field, FieldTable } from "./field.ts";
import { configurationKind, configurationVersion, type KubeletConfiguration, kubeletFields } from "./kubelet-configuration.ts";

/** false is what they are when nothing is said; others say it. */
const plainBooleans: ReadonlySet<string> = new Set([
  ...["rotateCertificates", "serverTLSBootstrap", "enableContentionProfiling", "runOnce", "protectKernelDefaults"],
  ...["kernelMemcgNotification", "splitStream"],
]);

export function shownConfiguration(configuration: KubeletConfiguration): Readonly<Record<string, unknown>> {
  const { crashLoopBackOff, featureGates } = configuration;
  const gates = resolveKubeletGates(featureGates);
  const longest = gates.enabled("ReduceDefaultCrashLoopBackOffDecay") ? "1m0s" : "5m0s";
  const backOff = gates.enabled("KubeletCrashLoopBackOffMax")
    ? { maxContainerRestartPeriod: crashLoopBackOff.maxContainerRestartPeriod ?? longest }
    : crashLoopBackOff;
  const fields = shownFields(kubeletFields, { ...configuration, crashLoopBackOff: backOff });
  return { kind: configurationKind, apiVersion: configurationVersion, ...fields };
}

function shownFields(table: FieldTable, values: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const entries = Object.entries(table).flatMap(([name, field]) => {
    const value = values[name];
    if (field.nested && value !== undefined) return [[name, shownFields(field.nested, value as Readonly<Record<string, unknown>>)]];
    return saysNothing(name, field, value) ? [] : [[name, value]];
  });
  return Object.fromEntries(entries) as Readonly<Record<string, unknown>>; // all names are texts
}

function saysNothing(name: string, field: Field<unknown>, value: unknown): boolean {
  if (value === undefined) return true;
  if (typeof value === "boolean") return !value && plainBooleans.has(name);
  if (typeof value === "object") return value === null || Object.keys(value).length === 0;
  return (field.kind === "text" || field.kind === "integer") && field.isUnset(value);
}
