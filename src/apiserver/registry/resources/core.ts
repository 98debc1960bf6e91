// Config maps, secrets, service accounts and leases.
import { defaultSecret } from "../../../api/defaults/cluster.ts";
import { configMapTable, leaseTable, secretTable, serviceAccountTable } from "../../../api/encode/table/core.ts";
import { configmaps, leases, secrets, serviceaccounts } from "../../../api/resources.generated.ts";
import type { Lease } from "../../../api/types/coordination-v1.ts";
import type { Secret, ServiceAccount } from "../../../api/types/core-v1.ts";
import { validateConfigMap, validateLease, validateSecret } from "../../../api/validation/config.ts";
import { checked, describe } from "./describe.ts";
import { secretWarnings } from "./secret-warnings.ts";

export const configMapDefinition = describe(configmaps, {
  metadataOnUpdate: ["changes", "whole"],
  ...checked(validateConfigMap),
  table: configMapTable,
});

export const secretDefinition = describe<Secret>(secrets, {
  metadataOnUpdate: ["changes", "whole"],
  defaults: defaultSecret,
  create: { validate: (secret) => validateSecret(secret), warnings: secretWarnings },
  update: {
    prepare: (secret, old) => (secret.type || !old.type ? secret : { ...secret, type: old.type }),
    validate: validateSecret,
    warnings: secretWarnings,
  },
  selectableFields: { type: ({ type }) => type ?? "" },
  table: secretTable,
});

/** Of the secrets a service account refers to, only their names are kept. */
function withBareSecrets(account: ServiceAccount): ServiceAccount {
  const { secrets: references } = account;
  if (!references?.some((reference) => Object.keys(reference).some((key) => key !== "name"))) return account;
  return { ...account, secrets: references.map(({ name }) => (name === undefined ? {} : { name })) };
}

const mountableSecretsKey = "kubernetes.io/enforce-mountable-secrets";
const mountableSecretsWarning = `metadata.annotations[${mountableSecretsKey}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets`;

const enforcesSecrets = (account: ServiceAccount | undefined): boolean =>
  account?.metadata.annotations?.[mountableSecretsKey] !== undefined;

export const serviceAccountDefinition = describe<ServiceAccount>(serviceaccounts, {
  metadataOnUpdate: ["changes", "whole"],
  create: { prepare: withBareSecrets, warnings: (account) => (enforcesSecrets(account) ? [mountableSecretsWarning] : []) },
  update: {
    prepare: withBareSecrets,
    warnings: (account, old) => (enforcesSecrets(account) && !enforcesSecrets(old) ? [mountableSecretsWarning] : []),
  },
  deletionReturnsObject: true,
  table: serviceAccountTable,
});

/** Choosing a leader by a strategy is behind a feature gate that is off: its fields are ignored. */
function withoutStrategy(lease: Lease): Lease {
  if (lease.spec?.strategy === undefined && lease.spec?.preferredHolder === undefined) return lease;
  const { strategy: _1, preferredHolder: _2, ...spec } = lease.spec;
  return { ...lease, spec };
}

export const leaseDefinition = describe<Lease>(leases, {
  create: { prepare: withoutStrategy, validate: validateLease },
  update: { prepare: withoutStrategy, validate: validateLease },
  allowCreateOnUpdate: true,
  allowUnconditionalUpdate: false,
  table: leaseTable,
});
