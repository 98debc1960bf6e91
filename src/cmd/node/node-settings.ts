// What the process of a further node is told by the cluster's: a file in the node's directory, readable by its owner alone,
// since it holds the node's keys. And what the two say to each other while they run.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { KubeletServerOptions } from "../../kubelet/server/server.ts";
import { writeFileAtomically } from "../atomic-file.ts";
import type { CertificateFiles } from "../credentials/pki.ts";
import type { CniPluginChoice } from "./cni-plugin-choice.ts";

export interface NodeProcessSettings {
  readonly name: string;
  /** The node's data directory. */
  readonly dataDir: string;
  readonly nodeIPs: readonly string[];
  readonly nodeCidrs: readonly string[];
  /** The node of the machine itself. */
  readonly behind: string;
  readonly serving: KubeletServerOptions;
  /** Where its certificate is renewed. */
  readonly servingFiles: CertificateFiles;
  readonly verbosity: number;
  /** A file with a KubeletConfiguration. */
  readonly kubeletConfig?: string;
  readonly cniPlugins?: CniPluginChoice;
  /** What makes its containers. */
  readonly ociRuntime: string;
}

/** From the node's process, over the channel of its parent. */
export interface NodeReport {
  readonly ready: true;
  /** Of the runtime, for a person. */
  readonly description: string;
}

/** Keeps a second process out of a node's directory. */
export const nodeLock = "node.lock";
const fileName = "process.json";

/** The node's own credentials. */
export const nodeKubeconfig = (directory: string): string => join(directory, "node.kubeconfig");

export async function writeNodeSettings(settings: NodeProcessSettings): Promise<void> {
  await writeFileAtomically(join(settings.dataDir, fileName), JSON.stringify(settings));
}

export async function readNodeSettings(directory: string): Promise<NodeProcessSettings> {
  return JSON.parse(await readFile(join(directory, fileName), "utf8")) as NodeProcessSettings; // written by the above
}
