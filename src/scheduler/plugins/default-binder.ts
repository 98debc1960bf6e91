// DefaultBinder: tells the API server which node the pod goes to (the binding subresource).
import { pods } from "../../api/resources.generated.ts";
import type { Client } from "../../client/client.ts";
import type { Plugin } from "../framework.ts";

export function createDefaultBinder(client: Client): Plugin {
  return {
    name: "DefaultBinder",
    async bind({ pod }, nodeName, signal) {
      const { name, namespace, uid } = pod.metadata;
      await client.createSubresource(
        pods,
        { namespace, name, subresource: "binding" },
        { apiVersion: "v1", kind: "Binding", metadata: { name, namespace, uid }, target: { kind: "Node", name: nodeName } },
        { signal },
      );
      return true;
    },
  };
}
