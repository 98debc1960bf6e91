// Tables of the packet filter that belong to one attachment each: made whole by ADD, deleted whole by DEL, found by their names.

import type { NftFamily } from "../../linux/nftables.ts";
import { CommandError } from "../../linux/run-command.ts";
import { failed } from "../spec/cni-error.ts";
import { attachmentTable, isTableOf, type TableKind } from "./container-names.ts";
import type { CniCall, CniEffects } from "./plugin.ts";

interface Table {
  readonly family: NftFamily;
  readonly kind: TableKind;
}

/** Replaces what was there. `chains`: lines between the table's braces. */
export async function putTable({ family, kind }: Table, chains: readonly string[], call: CniCall, effects: CniEffects): Promise<void> {
  const table = `${family} ${attachmentTable(kind, call)}`;
  await effects.nft(`add table ${table}\ndelete table ${table}\ntable ${table} {\n${chains.map((line) => `  ${line}\n`).join("")}}\n`);
}

/** False where there was none. */
export async function deleteTable({ family, kind }: Table, call: CniCall, effects: CniEffects): Promise<boolean> {
  try {
    await effects.nft(`delete table ${family} ${attachmentTable(kind, call)}\n`);
    return true;
  } catch (error) {
    if (error instanceof CommandError && (error.notFound || /No such file or directory/.test(error.message))) return false;
    throw error;
  }
}

export async function requireTable({ family, kind }: Table, call: CniCall, effects: CniEffects): Promise<void> {
  const name = attachmentTable(kind, call);
  const tables = await listTables(effects);
  if (!tables.some((table) => table.family === family && table.name === name))
    throw failed(`the packet filter's table ${family} ${name} of container ${call.containerId} is missing`);
}

/** Those of attachments that are not valid any more. */
export async function deleteStaleTables({ family, kind }: Table, call: CniCall, effects: CniEffects): Promise<void> {
  const { config } = call;
  const valid = (config["cni.dev/valid-attachments"] ?? []).map(({ containerID, ifname }) =>
    attachmentTable(kind, { config, containerId: containerID, ifName: ifname }),
  );
  const stale = (await listTables(effects)).filter(
    ({ family: of, name }) => of === family && isTableOf(config.name, name, kind) && !valid.includes(name),
  );
  if (stale.length > 0) await effects.nft(stale.map(({ name }) => `delete table ${family} ${name}\n`).join(""));
}

async function listTables(effects: CniEffects): Promise<readonly { readonly family: string; readonly name: string }[]> {
  const { stdout } = await effects.run("nft", ["--json", "list", "tables"]);
  const { nftables } = JSON.parse(stdout) as { readonly nftables: readonly { readonly table?: { family: string; name: string } }[] };
  return nftables.flatMap(({ table }) => table ?? []);
}
