// AppArmor profiles by annotation, from before there was a field: a new pod that has the annotation for a container and no
// profile in the field gets the field from it, unless the pod as a whole has that profile.
import { mapShared } from "../../../api/defaults/fill.ts";
import { semanticallyEqual } from "../../../api/meta/equality.ts";
import type { AppArmorProfile, Container, EphemeralContainer, Pod } from "../../../api/types/core-v1.ts";
import { appArmorPrefix } from "../../../api/validation/pod-annotations.ts";
import { appArmorText } from "../../../api/validation/pod-warnings.ts";

/** Adds to `warnings` for each annotation that is still in use. */
export function withAppArmorFields(pod: Pod, warnings: string[]): Pod {
  const { annotations } = pod.metadata;
  const os: string | undefined = pod.spec.os?.name;
  if (!annotations || os === "windows" || !Object.keys(annotations).some((key) => key.startsWith(appArmorPrefix))) return pod;
  const podProfile = pod.spec.securityContext?.appArmorProfile;
  const withField = <C extends Container | EphemeralContainer>(container: C): C => {
    const key = appArmorPrefix + container.name;
    const profile = profileOf(annotations[key]);
    if (annotations[key] === undefined || container.securityContext?.appArmorProfile) return container;
    if (profile && semanticallyEqual(profile, podProfile)) return container;
    const text = `metadata.annotations[${key}]: ${appArmorText}`;
    if (!warnings.includes(text)) warnings.push(text);
    if (!profile) return container;
    return { ...container, securityContext: { ...container.securityContext, appArmorProfile: profile } };
  };
  const { containers, initContainers, ephemeralContainers } = pod.spec;
  return {
    ...pod,
    spec: {
      ...pod.spec,
      ...(initContainers ? { initContainers: mapShared(initContainers, withField<Container>) } : {}),
      containers: mapShared(containers ?? [], withField<Container>),
      ...(ephemeralContainers ? { ephemeralContainers: mapShared(ephemeralContainers, withField<EphemeralContainer>) } : {}),
    },
  };
}

const localhostPrefix = "localhost/";

/** What an annotation says; undefined for what it cannot say, which validation refuses. */
function profileOf(text: string | undefined): AppArmorProfile | undefined {
  if (text === "unconfined") return { type: "Unconfined" };
  if (text === "runtime/default") return { type: "RuntimeDefault" };
  const localhostProfile = text?.startsWith(localhostPrefix) ? text.slice(localhostPrefix.length) : "";
  const usable = localhostProfile !== "" && localhostProfile.trim() === localhostProfile && localhostProfile.length <= 4095;
  return usable ? { type: "Localhost", localhostProfile } : undefined;
}
