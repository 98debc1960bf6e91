// The ways out of the API server, where --egress-selector-config-file chooses them. Nothing of it is loaded without.
import { ConfigError } from "../../api/encode/config-fields.ts";
import type { EgressSelector } from "../../apiserver/egress/egress-selector.ts";
import type { ApiServerSettings } from "../../apiserver/options.ts";
import { CommandError } from "../command-error.ts";

/** Throws CommandError. */
export async function openEgress({ edge: { egressSelectorFile: file } }: ApiServerSettings): Promise<EgressSelector> {
  if (file === undefined) return {};
  const { openEgressSelector } = await import("../../apiserver/egress/egress-selector.ts");
  try {
    return await openEgressSelector(file);
  } catch (error) {
    throw error instanceof ConfigError ? new CommandError(`--egress-selector-config-file: ${error.message}`) : error;
  }
}
