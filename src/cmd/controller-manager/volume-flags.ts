// Flags about claims and volumes, under upstream's names: of `coracle controller-manager`, and of `coracle up` for its own
// controllers. Templates of recycler pods are read from files when the controllers start.
import { readFile } from "node:fs/promises";
import type { New } from "../../api/meta/object.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import { boolean, durationMs, type FlagValues, flag, integer, optionalText } from "../../base/flags.ts";
import type { VolumeOptions } from "../../controllers/controller-options.ts";
import type { RecyclerSettings } from "../../controllers/volume-binding/recycler-pod.ts";
import { CommandError } from "../command-error.ts";

const seconds = integer({ min: 0, max: 2 ** 31 - 1 });

export const volumeFlags = {
  "enable-dynamic-provisioning": flag(boolean, true, "volumes are made for claims, by the provisioners of their classes"),
  "enable-hostpath-provisioner": flag(boolean, false, "make directories in /tmp volumes for classes of kubernetes.io/host-path; one node"),
  "pv-recycler-pod-template-filepath-hostpath": flag(optionalText, undefined, "file with the pod that empties hostPath volumes; one node"),
  "pv-recycler-minimum-timeout-hostpath": flag(seconds, 60, "seconds that this pod is given at least"),
  "pv-recycler-timeout-increment-hostpath": flag(seconds, 30, "seconds that this pod is given for each GiB"),
  "pv-recycler-pod-template-filepath-nfs": flag(optionalText, undefined, "file with the pod that empties NFS volumes"),
  "pv-recycler-minimum-timeout-nfs": flag(seconds, 300, "seconds that this pod is given at least"),
  "pv-recycler-increment-timeout-nfs": flag(seconds, 30, "seconds that this pod is given for each GiB"),
};

export const volumeSyncFlags = {
  "pvclaimbinder-sync-period": flag(durationMs, 15_000, "how often claims and volumes that wait are looked at again"),
};

export type VolumeFlagValues = FlagValues<typeof volumeFlags> & Partial<FlagValues<typeof volumeSyncFlags>>;

/** Throws CommandError. */
export async function volumeOptions(values: VolumeFlagValues): Promise<VolumeOptions> {
  const syncPeriodMs = values["pvclaimbinder-sync-period"];
  return {
    ...(syncPeriodMs === undefined ? {} : { syncPeriodMs }),
    provisioning: { isDynamic: values["enable-dynamic-provisioning"], ofHostPaths: values["enable-hostpath-provisioner"] },
    recycler: {
      hostPath: await recyclerSettings("pv-recycler-pod-template-filepath-hostpath", values["pv-recycler-pod-template-filepath-hostpath"], {
        minimumTimeoutSeconds: values["pv-recycler-minimum-timeout-hostpath"],
        timeoutIncrementSeconds: values["pv-recycler-timeout-increment-hostpath"],
      }),
      nfs: await recyclerSettings("pv-recycler-pod-template-filepath-nfs", values["pv-recycler-pod-template-filepath-nfs"], {
        minimumTimeoutSeconds: values["pv-recycler-minimum-timeout-nfs"],
        timeoutIncrementSeconds: values["pv-recycler-increment-timeout-nfs"],
      }),
    },
  };
}

async function recyclerSettings(flagName: string, file: string | undefined, timeouts: RecyclerSettings): Promise<RecyclerSettings> {
  return file === undefined ? timeouts : { ...timeouts, podTemplate: await readTemplate(flagName, file) };
}

async function readTemplate(flagName: string, file: string): Promise<New<Pod>> {
  const refuse = (problem: string, cause?: unknown): CommandError =>
    new CommandError(`--${flagName}: ${file}: ${problem}`, cause === undefined ? undefined : { cause });
  const [{ DecodeError, decodeObject }, { parseYaml, YamlSyntaxError }, { builtInSchemas }] = await Promise.all([
    import("../../api/encode/decode.ts"),
    import("../../api/encode/yaml-text.ts"),
    import("../../api/schema/schema.ts"),
  ]);
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    throw refuse("cannot be read", cause);
  }
  let pod: New<Pod> & { readonly kind?: string };
  try {
    pod = decodeObject(builtInSchemas.get("core-v1.Pod"), parseYaml(text).value).object as unknown as New<Pod>; // the API server checks the rest
  } catch (cause) {
    if (cause instanceof DecodeError || cause instanceof YamlSyntaxError) throw refuse(cause.message, cause);
    throw cause;
  }
  if (pod.kind !== "Pod") throw refuse(`expected a Pod, found ${pod.kind ?? "no kind"}`);
  if ((pod.spec?.volumes ?? []).length === 0) throw refuse("does not contain any volume(s)");
  return pod;
}
