// The further nodes of a cluster on this machine, as they are remembered between starts: a directory each below
// <data-dir>/nodes, with a file that says which of the machine's addresses it has and whether it is switched off.
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { writeFileAtomically } from "../atomic-file.ts";

export interface NodeRecord {
  readonly name: string;
  /** From 2: the first node is the machine itself. Decides addresses and interface names. */
  readonly index: number;
  /** By `coracle node stop`; stays so when the cluster starts again. */
  readonly stopped: boolean;
}

const fileName = "node.json";

/** Where a node keeps everything; the data directory of its runtime and pod network. */
export function nodeDirectory(dataDir: string, name: string): string {
  return join(resolve(dataDir), "nodes", name);
}

/** By index. A directory without a record, as a crash between the two leaves it, is no node. */
export async function readNodeRecords(dataDir: string): Promise<readonly NodeRecord[]> {
  const names = await readdir(join(dataDir, "nodes")).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  const records = await Promise.all(names.map((name) => readRecord(join(nodeDirectory(dataDir, name), fileName))));
  return records.filter((record) => record !== undefined).sort((a, b) => a.index - b.index);
}

export async function writeNodeRecord(dataDir: string, record: NodeRecord): Promise<void> {
  const directory = nodeDirectory(dataDir, record.name);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await writeFileAtomically(join(directory, fileName), `${JSON.stringify(record)}\n`);
}

export async function removeNodeDirectory(dataDir: string, name: string): Promise<void> {
  await rm(nodeDirectory(dataDir, name), { recursive: true, force: true });
}

/** The record of a new node: of the name given, or called after the first node and its number. */
export function newNodeRecord(first: string, others: readonly NodeRecord[], name?: string): NodeRecord {
  const taken = new Set(others.map((record) => record.index));
  let index = 2;
  while (taken.has(index)) index++;
  const names = new Set([first, ...others.map((record) => record.name)]);
  let chosen = name ?? `${first}-${index}`;
  for (let number = index + 1; name === undefined && names.has(chosen); number++) chosen = `${first}-${number}`;
  return { name: chosen, index, stopped: false };
}

async function readRecord(path: string): Promise<NodeRecord | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as NodeRecord; // written by writeNodeRecord alone, and whole
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT" || (error as NodeJS.ErrnoException).code === "ENOTDIR") return undefined;
    throw new Error(`reading ${path}`, { cause: error });
  }
}
