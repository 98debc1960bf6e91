// The sandbox image: the pause program of pause-program.ts and nothing else. Kubernetes pulls registry.k8s.io/pause; ours is
// made on the node, so pods start without any registry.
import { type Architecture, buildImageArchive, hostArchitecture } from "./image-archive.ts";
import { pauseProgram } from "./pause-program.ts";

/** Raised whenever the program or the image's configuration changes, so that nodes with the old one import the new one. */
export const pauseImageReference = "coracle.local/pause:1";

/** The image as an archive for importImage(). */
export function buildPauseImage(architecture: Architecture = hostArchitecture()): Promise<Uint8Array> {
  return buildImageArchive({
    name: pauseImageReference,
    files: [{ path: "/pause", content: pauseProgram(architecture), mode: 0o755 }],
    config: { entrypoint: ["/pause"], user: "65535:65535" },
    architecture,
  });
}
