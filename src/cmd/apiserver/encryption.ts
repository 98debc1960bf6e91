// Wires encryption at rest. Nothing of it is loaded where there is no --encryption-provider-config.
import type { Encryption, EncryptionDeps } from "../../apiserver/encryption/encryption.ts";
import type { ApiServerSettings } from "../../apiserver/options.ts";
import { errorText } from "../../base/log.ts";
import { CommandError } from "../command-error.ts";

/** Throws CommandError for what is wrong with the file. */
export async function openEncryption({ operations }: ApiServerSettings, deps: EncryptionDeps): Promise<Encryption | undefined> {
  if (!operations.encryption) return undefined;
  const { createEncryption } = await import("../../apiserver/encryption/encryption.ts");
  try {
    return await createEncryption(deps, operations.encryption);
  } catch (error) {
    throw new CommandError(`--encryption-provider-config: ${errorText(error)}`);
  }
}
