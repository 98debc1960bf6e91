// Which volumes of a pod are made at all, as upstream has it.
import type { Pod, Volume } from "../../api/types/core-v1.ts";

/** A volume that no container mounts is not made: whatever it names need not be there. */
export function usedVolumes({ spec }: Pod): readonly Volume[] {
  const containers = [...(spec.initContainers ?? []), ...spec.containers, ...(spec.ephemeralContainers ?? [])];
  const used = new Set(containers.flatMap((c) => [...(c.volumeMounts ?? []), ...(c.volumeDevices ?? [])].map(({ name }) => name)));
  return (spec.volumes ?? []).filter(({ name }) => used.has(name));
}
