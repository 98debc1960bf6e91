// serviceaccount-controller: every namespace that is not being deleted has a service account "default".
import { isStatus } from "../api/meta/status-error.ts";
import { namespaces, serviceaccounts } from "../api/resources.generated.ts";
import { type Controller, watch } from "./controller.ts";

const accountName = "default";

export const serviceAccountController: Controller = {
  name: "serviceaccount-controller",
  serviceAccount: "service-account-controller",
  create({ client, informers }) {
    const namespaceInformer = informers.informer(namespaces);
    const accountInformer = informers.informer(serviceaccounts);
    return {
      watches: [
        watch(namespaceInformer, (namespace) => [namespace.metadata.name]),
        watch(accountInformer, (account) => (account.metadata.name === accountName ? [account.metadata.namespace] : [])),
      ],
      async reconcile(key, { signal }) {
        const namespace = namespaceInformer.get(key);
        if (!namespace || namespace.status?.phase === "Terminating" || namespace.metadata.deletionTimestamp) return undefined;
        if (accountInformer.get(`${key}/${accountName}`)) return undefined;
        try {
          await client.create(serviceaccounts, { metadata: { name: accountName, namespace: key } }, { signal });
        } catch (error) {
          if (!isStatus(error, "AlreadyExists") && !isNamespaceGoing(error)) throw error;
        }
        return undefined;
      },
    };
  },
};

/** The namespace is being deleted, or is gone: nothing can be created in it, and nothing need be. */
export function isNamespaceGoing(error: unknown): boolean {
  if (isStatus(error, "NotFound")) return error.status.details?.kind === "namespaces";
  return isStatus(error, "Forbidden") && (error.status.details?.causes?.some((cause) => cause.reason === "NamespaceTerminating") ?? false);
}
