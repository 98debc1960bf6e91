// The node's CSINode: which drivers of volumes are there, kept by those who register them, and for which of the old plugins
// within Kubernetes a driver is asked instead. Made with the node, and removed with it.
import { isStatus } from "../../api/meta/status-error.ts";
import { csinodes } from "../../api/resources.generated.ts";
import type { Node } from "../../api/types/core-v1.ts";
import type { Client } from "../../client/client.ts";
import { nodeOwner } from "../references.ts";

const annotation = "storage.alpha.kubernetes.io/migrated-plugins";
/** All of them, in v1.36. */
const migrated = ["aws-ebs", "azure-disk", "azure-file", "cinder", "gce-pd", "portworx-volume", "vsphere-volume"];
const annotations = { [annotation]: migrated.map((plugin) => `kubernetes.io/${plugin}`).join(",") };
const timeoutMs = 10_000;

/** Makes it where it is missing, and brings it up to date. */
export async function ensureCsiNode(client: Client, node: Node, signal: AbortSignal): Promise<void> {
  const { name } = node.metadata;
  const call = { signal, timeoutMs };
  try {
    const metadata = { name, annotations, ownerReferences: [nodeOwner(node)] } as { readonly name: string };
    await client.create(csinodes, { metadata, spec: { drivers: [] } }, call);
  } catch (error) {
    if (!isStatus(error, "AlreadyExists")) throw error;
    const found = await client.get(csinodes, { name }, call);
    if (found.metadata.annotations?.[annotation] === annotations[annotation]) return;
    await client.patch(csinodes, { name }, { metadata: { annotations } }, { type: "merge", ...call });
  }
}
