// Tables of config maps, secrets, service accounts, leases, namespaces, quotas and component statuses.
import type { Lease } from "../../types/coordination-v1.ts";
import type { ComponentStatus, ConfigMap, Namespace, ResourceQuota, Secret, ServiceAccount } from "../../types/core-v1.ts";
import { age, ageColumn, column, nameColumn } from "./columns.ts";
import { fieldTexts as texts } from "./field-texts.ts";
import type { TableConvertor } from "./table.ts";

const size = (map: object | undefined): number => Object.keys(map ?? {}).length;

export const configMapTable: TableConvertor<ConfigMap> = {
  columns: [nameColumn, column("Data", texts.ConfigMap.data), ageColumn],
  cells: (map, nowMs) => [map.metadata.name, size(map.data) + size(map.binaryData), age(map, nowMs)],
};

export const secretTable: TableConvertor<Secret> = {
  columns: [nameColumn, column("Type", texts.Secret.type), column("Data", texts.Secret.data), ageColumn],
  cells: (secret, nowMs) => [secret.metadata.name, secret.type ?? "", size(secret.data), age(secret, nowMs)],
};

export const serviceAccountTable: TableConvertor<ServiceAccount> = {
  columns: [nameColumn, ageColumn],
  cells: (account, nowMs) => [account.metadata.name, age(account, nowMs)],
};

export const leaseTable: TableConvertor<Lease> = {
  columns: [nameColumn, column("Holder", texts.LeaseSpec.holderIdentity), ageColumn],
  cells: (lease, nowMs) => [lease.metadata.name, lease.spec?.holderIdentity ?? "", age(lease, nowMs)],
};

export const namespaceTable: TableConvertor<Namespace> = {
  columns: [nameColumn, column("Status", "The status of the namespace"), ageColumn],
  cells: (namespace, nowMs) => [namespace.metadata.name, namespace.status?.phase ?? "", age(namespace, nowMs)],
};

/** "cpu: 1/2" of each resource that is limited, by name. */
function quotaTexts({ status }: ResourceQuota, isShown: (name: string) => boolean): string {
  return Object.entries(status?.hard ?? {})
    .filter(([name]) => isShown(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, hard]) => `${name}: ${status?.used?.[name] ?? "0"}/${hard}`)
    .join(", ");
}

const isLimit = (name: string): boolean => name.startsWith("limits.");

export const resourceQuotaTable: TableConvertor<ResourceQuota> = {
  columns: [
    nameColumn,
    column("Request", "Request represents a minimum amount of cpu/memory that a container may consume."),
    column("Limit", "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node."),
    ageColumn,
  ],
  cells: (quota, nowMs) => [
    quota.metadata.name,
    quotaTexts(quota, (name) => !isLimit(name)),
    quotaTexts(quota, isLimit),
    age(quota, nowMs),
  ],
};

export const componentStatusTable: TableConvertor<ComponentStatus> = {
  columns: [
    nameColumn,
    column("Status", "Status of the component conditions"),
    column("Message", "Message of the component conditions"),
    column("Error", "Error of the component conditions"),
  ],
  cells: ({ metadata, conditions }) => {
    const health = conditions?.find((condition) => condition.type === "Healthy");
    if (!health) return [metadata.name, "Unknown", "", ""];
    return [metadata.name, health.status === "True" ? "Healthy" : "Unhealthy", health.message ?? "", health.error ?? ""];
  },
};
