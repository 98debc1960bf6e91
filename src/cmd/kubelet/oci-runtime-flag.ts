// --oci-runtime, of the commands that start a containerd of ours, and --runtime, of those that choose among runtimes.
import { isAbsolute } from "node:path";
import { type FlagType, flag } from "../../base/flags.ts";

const ociRuntime: FlagType<string> = {
  placeholder: "string",
  parse(value) {
    if (["auto", "runc", "crun"].includes(value) || isAbsolute(value)) return value;
    throw new Error("expected auto, runc, crun or the absolute path of a program");
  },
};

export const ociRuntimeFlags = {
  "oci-runtime": flag(
    ociRuntime,
    "auto",
    "what makes the containers of our own containerd: runc, crun, the path of another program, or auto: crun where it works, else runc",
  ),
};

const runtime: FlagType<string | undefined> = {
  placeholder: "string",
  parse(value) {
    if (value === "containerd" || value === "simulated" || /^unix:\/\/\/./.test(value)) return value;
    throw new Error("expected containerd, simulated or unix:///path/to/cri.sock");
  },
};

export const runtimeFlags = {
  runtime: flag(
    runtime,
    undefined,
    "containerd (our own), unix:///path of a running CRI runtime, or simulated; default what the machine can do",
  ),
};
