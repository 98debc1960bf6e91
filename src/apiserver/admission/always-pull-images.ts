// AlwaysPullImages: every image is pulled anew, so that whoever may not read it does not get it from a node that has it.
import { notSupported } from "../../api/meta/field-error.ts";
import { StatusError } from "../../api/meta/status-error.ts";
import { pods } from "../../api/resources.generated.ts";
import type { Pod, PodSpec, Volume } from "../../api/types/core-v1.ts";
import type { AdmissionPlugin, AdmissionRequest } from "./admission.ts";
import { isAbout, joinProblems, refuse } from "./refusal.ts";

const lists = ["initContainers", "containers", "ephemeralContainers"] as const;

export function createAlwaysPullImages(): AdmissionPlugin {
  return {
    name: "AlwaysPullImages",
    only: [pods],
    handles: (request) =>
      isAbout(request, pods) && (request.operation === "CREATE" || (request.operation === "UPDATE" && bringsNewImages(request))),
    admit(request) {
      const pod = request.object as Pod;
      return pod.spec ? { ...pod, spec: alwaysPulling(pod.spec) } : pod;
    },
    validate(request) {
      const problems = pullProblems((request.object as Pod).spec);
      if (problems.length === 0) return;
      // Only what runs after this plugin can have changed the policy: upstream does not make a refusal of it.
      throw new StatusError({ code: 500, message: joinProblems(problems.map((problem) => refuse(request, problem).message)) });
    },
  };
}

function imagesOf({ spec }: Pod): readonly string[] {
  return lists.flatMap((list) => (spec?.[list] ?? []).map(({ image = "" }) => image));
}

function bringsNewImages({ object, oldObject }: AdmissionRequest): boolean {
  const known = new Set(imagesOf(oldObject as Pod));
  return imagesOf(object as Pod).some((image) => !known.has(image));
}

function alwaysPulling(spec: PodSpec): PodSpec {
  const pulled = <C extends { readonly imagePullPolicy?: string }>(c: C): C => ({ ...c, imagePullPolicy: "Always" });
  const volume = (v: Volume): Volume => (v.image ? { ...v, image: { ...v.image, pullPolicy: "Always" } } : v);
  return {
    ...spec,
    containers: (spec.containers ?? []).map(pulled),
    ...(spec.initContainers ? { initContainers: spec.initContainers.map(pulled) } : {}),
    ...(spec.ephemeralContainers ? { ephemeralContainers: spec.ephemeralContainers.map(pulled) } : {}),
    ...(spec.volumes ? { volumes: spec.volumes.map(volume) } : {}),
  };
}

function pullProblems(spec: PodSpec | undefined): readonly string[] {
  const problem = (field: string, policy: string | undefined): readonly string[] =>
    policy === "Always" ? [] : [notSupported(field, policy ?? "", ["Always"]).message];
  return [
    ...lists.flatMap((list) =>
      (spec?.[list] ?? []).flatMap(({ imagePullPolicy }, i) => problem(`spec.${list}[${i}].imagePullPolicy`, imagePullPolicy)),
    ),
    ...(spec?.volumes ?? []).flatMap(({ image }, i) => (image ? problem(`spec.volumes[${i}].image.pullPolicy`, image.pullPolicy) : [])),
  ];
}
