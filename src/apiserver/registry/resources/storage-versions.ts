// In which versions objects are stored (StorageVersion), and requests to write all objects of a resource anew
// (StorageVersionMigration). Both are off by default.
import { age, ageColumn, column, nameColumn } from "../../../api/encode/table/columns.ts";
import { storageversionmigrationsV1beta1, storageversionsV1alpha1 } from "../../../api/optional-resources.generated.ts";
import { validateFinalizerDomains } from "../../../api/validation/object-meta.ts";
import { validateMigration, validateMigrationStatus } from "../../../api/validation/storage-migration.ts";
import { storageVersionName, validateStorageVersionStatus } from "../../../api/validation/storage-version.ts";
import { checked, describe, statusKeepsMetadata, withStatusKeepingMetadata } from "./describe.ts";

export const storageVersionDefinition = describe(storageversionsV1alpha1, {
  validateName: storageVersionName,
  create: { validate: (version) => [...validateFinalizerDomains(version), ...validateStorageVersionStatus(version)] },
  status: { prepare: withStatusKeepingMetadata, validate: validateStorageVersionStatus, metadata: [] },
  metadataOnUpdate: [],
  resetFields: statusKeepsMetadata,
  allowUnconditionalUpdate: false,
  countsGeneration: false,
  table: {
    columns: [
      nameColumn,
      column("CommonEncodingVersion", "The version that all servers write."),
      column("StorageVersions", "What each server writes."),
      ageColumn,
    ],
    cells: (version, nowMs) => {
      const { commonEncodingVersion = "<unset>", storageVersions = [] } = version.status ?? {};
      const shown = storageVersions
        .slice(0, 3)
        .map((server) => `${server.apiServerID}=${server.encodingVersion}`)
        .join(",");
      const more = storageVersions.length - 3;
      return [version.metadata.name, commonEncodingVersion, more > 0 ? `${shown} + ${more} more...` : shown, age(version, nowMs)];
    },
  },
});

export const migrationDefinition = describe(storageversionmigrationsV1beta1, {
  ...checked(validateMigration),
  status: { prepare: withStatusKeepingMetadata, validate: validateMigrationStatus },
  metadataOnUpdate: ["whole"],
  resetFields: statusKeepsMetadata,
  allowUnconditionalUpdate: false,
  countsGeneration: false,
  table: {
    columns: [{ ...nameColumn, format: "" }, column("Resource", "GroupResource to migrate"), column("Status", "Status of the migration")],
    cells: ({ metadata, spec, status }) => {
      const { group, resource } = spec.resource;
      const state = (status?.conditions ?? [])
        .filter((c) => c.status === "True" && ["Running", "Failed", "Succeeded"].includes(c.type))
        .at(-1);
      return [metadata.name, group ? `${resource}.${group}` : resource, state?.type ?? "Unknown"];
    },
  },
});
