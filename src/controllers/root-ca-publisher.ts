// root-ca-certificate-publisher-controller: every namespace has the ConfigMap kube-root-ca.crt, with which pods verify the
// API server.
import { semanticallyEqual } from "../api/meta/equality.ts";
import { isStatus, StatusError } from "../api/meta/status-error.ts";
import { configmaps, namespaces } from "../api/resources.generated.ts";
import { type Controller, watch } from "./controller.ts";
import { isNamespaceGoing } from "./service-account.ts";

const configMapName = "kube-root-ca.crt";
const description =
  "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";
const annotations = { "kubernetes.io/description": description };

export const rootCaPublisher: Controller = {
  name: "root-ca-certificate-publisher-controller",
  serviceAccount: "root-ca-cert-publisher",
  create({ client, clock, informers, metrics, options }) {
    const namespaceInformer = informers.informer(namespaces);
    const configMapInformer = informers.informer(configmaps);
    const data = { "ca.crt": options.rootCaPem ?? "" };
    const measured = async (publish: () => Promise<void>): Promise<void> => {
      const begunMs = clock.monotonic();
      let code = "200";
      try {
        await publish();
      } catch (error) {
        code = error instanceof StatusError ? String(error.code) : "500";
        throw error;
      } finally {
        metrics?.own.count("root_ca_cert_publisher_sync_total", code);
        metrics?.own.observe("root_ca_cert_publisher_sync_duration_seconds", (clock.monotonic() - begunMs) / 1000, code);
      }
    };
    const publish = async (namespace: string, signal: AbortSignal): Promise<void> => {
      const owner = namespaceInformer.get(namespace);
      if (!owner || owner.metadata.deletionTimestamp) return;
      const current = configMapInformer.get(`${namespace}/${configMapName}`);
      if (!current) {
        try {
          await client.create(configmaps, { metadata: { name: configMapName, namespace, annotations }, data }, { signal });
        } catch (error) {
          if (!isStatus(error, "AlreadyExists") && !isNamespaceGoing(error)) throw error;
        }
        return;
      }
      const described = current.metadata.annotations?.["kubernetes.io/description"] === description;
      if (described && semanticallyEqual(current.data, data)) return;
      const metadata = { ...current.metadata, annotations: { ...current.metadata.annotations, ...annotations } };
      await client.update(configmaps, { ...current, metadata, data }, { signal });
    };
    return {
      // Without a certificate there is nothing to publish: the controller has no keys.
      watches: options.rootCaPem
        ? [
            watch(namespaceInformer, (namespace) => [namespace.metadata.name]),
            watch(configMapInformer, (map) => (map.metadata.name === configMapName ? [map.metadata.namespace] : [])),
          ]
        : [],
      async reconcile(namespace, { signal }) {
        await measured(() => publish(namespace, signal));
        return undefined;
      },
    };
  },
};
