// The flags that say who decides what a user may do: modes by name, or a configuration file in their place.
import { durationMs, FlagError, type FlagType, type FlagValues, flag, oneOf, optionalText, refuse } from "../base/flags.ts";
import { type AuthorizerType, authorizerTypes } from "./authz/authorization-config.ts";

export interface AuthorizationSettings {
  /** In order; of no meaning with a configuration file. */
  readonly modes: readonly AuthorizerType[];
  readonly policyFile?: string;
  readonly webhook?: AuthorizationWebhookSettings;
  /** The file of --authorization-config. */
  readonly configFile?: string;
}

export interface AuthorizationWebhookSettings {
  readonly configFile: string;
  readonly version: "v1" | "v1beta1";
  readonly authorizedTtlMs: number;
  readonly unauthorizedTtlMs: number;
}

const modes: FlagType<readonly AuthorizerType[] | undefined> = {
  placeholder: "strings",
  parse(value, previous) {
    if (value === "") return previous;
    const chosen = [...(previous ?? [])];
    for (const part of value.split(",")) {
      const mode = authorizerTypes.find((m) => m === part);
      if (mode === undefined) throw new Error(`expected some of ${authorizerTypes.join(", ")}`);
      if (chosen.includes(mode)) throw new Error(`expected ${mode} once`);
      chosen.push(mode);
    }
    return chosen;
  },
};

const optionalDuration = durationMs as FlagType<number | undefined>;
const optionalVersion = oneOf("v1", "v1beta1") as FlagType<"v1" | "v1beta1" | undefined>;

export const authorizationFlags = {
  "authorization-mode": flag(
    modes,
    undefined,
    `who decides what a user may do, in order, of ${authorizerTypes.join(", ")} (default Node,RBAC)`,
  ),
  "authorization-policy-file": flag(optionalText, undefined, "policies of mode ABAC, one in JSON on each line"),
  "authorization-webhook-config-file": flag(optionalText, undefined, "kubeconfig of the webhook of mode Webhook"),
  "authorization-webhook-version": flag(
    optionalVersion,
    undefined,
    "version of SubjectAccessReview to send to the webhook (default v1beta1)",
  ),
  "authorization-webhook-cache-authorized-ttl": flag(
    optionalDuration,
    undefined,
    "how long it is remembered that the webhook allowed something (default 5m)",
  ),
  "authorization-webhook-cache-unauthorized-ttl": flag(
    optionalDuration,
    undefined,
    "how long it is remembered that the webhook did not (default 30s)",
  ),
  "authorization-config": flag(
    optionalText,
    undefined,
    "file with an AuthorizationConfiguration, instead of --authorization-mode and --authorization-webhook-*; followed when it changes",
  ),
};

const minuteMs = 60_000;

/** Checks what flags cannot check alone; throws FlagError. */
export function authorizationOptions(values: FlagValues<typeof authorizationFlags>): AuthorizationSettings {
  const given = values["authorization-mode"];
  const [configFile, policyFile, webhookFile] = [
    values["authorization-config"],
    values["authorization-policy-file"],
    values["authorization-webhook-config-file"],
  ];
  const webhookValues = [
    values["authorization-webhook-version"],
    values["authorization-webhook-cache-authorized-ttl"],
    values["authorization-webhook-cache-unauthorized-ttl"],
  ];
  if (configFile) {
    if (given !== undefined || webhookFile !== undefined || webhookValues.some((value) => value !== undefined))
      throw new FlagError(
        "--authorization-config can not be specified when --authorization-mode or --authorization-webhook-* flags are defined",
      );
    return { modes: [], configFile, ...(policyFile ? { policyFile } : {}) };
  }
  const chosen = given ?? ["Node", "RBAC"];
  refuse(
    ...pairProblems(chosen.includes("ABAC"), policyFile, ["--authorization-policy-file", "ABAC"]),
    ...pairProblems(chosen.includes("Webhook"), webhookFile, ["--authorization-webhook-config-file", "Webhook"]),
  );
  return {
    modes: chosen,
    ...(policyFile ? { policyFile } : {}),
    ...(webhookFile
      ? {
          webhook: {
            configFile: webhookFile,
            version: values["authorization-webhook-version"] ?? "v1beta1",
            authorizedTtlMs: values["authorization-webhook-cache-authorized-ttl"] ?? 5 * minuteMs,
            unauthorizedTtlMs: values["authorization-webhook-cache-unauthorized-ttl"] ?? minuteMs / 2,
          },
        }
      : {}),
  };
}

function pairProblems(
  hasMode: boolean,
  file: string | undefined,
  [flagName, mode]: readonly [string, string],
): readonly (readonly [boolean, string])[] {
  return [
    [hasMode && !file, `--authorization-mode ${mode}: expected ${flagName}`],
    [!hasMode && Boolean(file), `${flagName}: expected ${mode} in --authorization-mode`],
  ];
}
