// --oci-runtime, of the commands that start a containerd of ours.
import { flag, text } from "../base/flags.ts";

export const ociRuntimeFlags = {
  "oci-runtime": flag(
    text,
    "auto",
    "what makes the containers of our own containerd: runc, crun, the path of another program, or auto: crun where it works, else runc",
  ),
};
