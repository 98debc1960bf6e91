// /version: the Kubernetes version whose API this server speaks, with Coracle's own as build metadata.
import { kubernetesVersion } from "../../base/version.ts";

const [, major = "1", minor = "36"] = /^v(\d+)\.(\d+)\./.exec(kubernetesVersion) ?? [];

export type VersionFields = ReturnType<typeof versionInfo>;

/** The body of /version (version.Info); goVersion and compiler say honestly what it runs on. */
export function versionInfo() {
  return {
    major,
    minor,
    emulationMajor: major,
    emulationMinor: minor,
    minCompatibilityMajor: major,
    minCompatibilityMinor: String(Number(minor) - 1),
    gitVersion: kubernetesVersion,
    gitCommit: "",
    gitTreeState: "clean",
    buildDate: "1970-01-01T00:00:00Z",
    goVersion: `node${process.versions.node}`,
    compiler: "v8",
    platform: `${process.platform}/${process.arch === "x64" ? "amd64" : process.arch}`,
  };
}
