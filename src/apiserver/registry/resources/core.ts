// Config maps, secrets, service accounts and leases.
import { defaultSecret } from "../../../api/defaults/cluster.ts";
import { configMapTable, leaseTable, secretTable, serviceAccountTable } from "../../../api/encode/table/core.ts";
import { configmaps, leases, secrets, serviceaccounts } from "../../../api/resources.generated.ts";
import { keepsFieldsOf } from "../../../api/semantics/gated-fields.ts";
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

/** Choosing a leader by a strategy is behind a feature gate: without it a lease gets no fields of that, and keeps those it has. */
function withoutStrategy(lease: Lease, old?: Lease): Lease {
  if (keepsFieldsOf("CoordinatedLeaderElection")) return lease;
  if (lease.spec?.strategy === undefined && lease.spec?.preferredHolder === undefined) return lease;
  const { strategy, preferredHolder, ...spec } = lease.spec;
  const kept = {
    ...(strategy === undefined || old?.spec?.strategy === undefined ? {} : { strategy }),
    ...(preferredHolder === undefined || old?.spec?.preferredHolder === undefined ? {} : { preferredHolder }),
  };
  return { ...lease, spec: { ...spec, ...kept } };
}

export const leaseDefinition = describe<Lease>(leases, {
  create: { prepare: (lease) => withoutStrategy(lease), validate: validateLease },
  update: { prepare: (lease, old) => withoutStrategy(lease, old), validate: validateLease },
  allowCreateOnUpdate: true,
  allowUnconditionalUpdate: false,
  table: leaseTable,
});
