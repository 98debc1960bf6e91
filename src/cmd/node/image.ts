// `coracle image import|ls|rm`: the images of a cluster's nodes on this machine, all alike. Works on the running cluster of
// the data directory, and on one that does not run.
import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { realClock } from "../../base/clock.ts";
import { flag, integer, optionalText } from "../../base/flags.ts";
import { createLogger } from "../../base/log.ts";
import { withContainerd } from "../../cri/containerd.ts";
import { type ImageStore, importImage, listImages, removeImage } from "../../cri/images.ts";
import { CommandError } from "../command-error.ts";
import { parseCommand } from "../command-flags.ts";
import { defaultDataDir } from "../data-dir.ts";
import { nodeDirectory, readNodeRecords } from "./node-records.ts";

const flags = {
  "data-dir": flag(optionalText, undefined, `directory of the cluster; default ${defaultDataDir()}`),
  name: flag(optionalText, undefined, "import: name of the image, where the archive does not name it"),
  v: flag(integer({ min: 0, max: 10 }), 0, "verbosity of the log", "v"),
};

/** Of one node; `node` is its name where there are several. */
interface Images {
  readonly store: ImageStore;
  readonly node: string | undefined;
}

type Action = (images: Images, operands: readonly string[], name: string | undefined) => Promise<void>;

const actions: Readonly<Record<string, { readonly operand: string; readonly summary: string; readonly act: Action }>> = {
  import: { operand: "FILE…", summary: "Imports images from files (docker save or OCI layout, gzipped or not).", act: importFiles },
  ls: { operand: "", summary: "Lists the images of each node.", act: list },
  rm: { operand: "IMAGE…", summary: "Removes images by name or digest.", act: remove },
};

export async function run(args: readonly string[]): Promise<number> {
  const [name = "", ...rest] = args;
  const action = actions[name];
  if (!action) {
    const rows = Object.entries(actions).map(([n, a]) => `  coracle image ${`${n} ${a.operand}`.padEnd(14)}${a.summary}`);
    process.stdout.write(`${rows.join("\n")}\n`);
    if (["", "help", "--help", "-h"].includes(name)) return name === "" ? 1 : 0;
    throw new CommandError(`unknown action ${JSON.stringify(name)}: expected ${Object.keys(actions).join(", ")}`);
  }
  const usage = { name: `image ${name}`, summary: action.summary, ...(action.operand ? { positional: action.operand } : {}) };
  const input = parseCommand(usage, flags, rest);
  if (!input) return 0;
  if (action.operand && input.positional.length === 0)
    throw new CommandError(`expected ${action.operand} (see coracle image ${name} --help)`);
  const dependencies = { clock: realClock, log: createLogger("image", { verbosity: input.values.v }) };
  const dataDir = input.values["data-dir"] ?? defaultDataDir();
  const further = (await readNodeRecords(dataDir)).map((record) => ({ node: record.name, directory: nodeDirectory(dataDir, record.name) }));
  const all = [{ node: further.length > 0 ? hostname().toLowerCase() : undefined, directory: dataDir }, ...further];
  try {
    for (const { node, directory } of all)
      await withContainerd({ dataDir: directory }, dependencies, ({ runtime, paths }) =>
        action.act({ store: { runtime, paths, clock: realClock }, node }, input.positional, input.values.name),
      );
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError(error instanceof Error ? error.message : String(error), { cause: undefined });
  }
  return 0;
}

async function importFiles({ store, node }: Images, files: readonly string[], name: string | undefined): Promise<void> {
  for (const file of files) if (!existsSync(file)) throw new CommandError(`${file}: no such file`);
  for (const file of files) {
    for (const image of await importImage(store, file, name === undefined ? {} : { name }))
      process.stdout.write(`imported ${image}${onNode(node)}\n`);
  }
}

const onNode = (node: string | undefined): string => (node === undefined ? "" : ` on node ${node}`);

async function list({ store, node }: Images): Promise<void> {
  if (node !== undefined) process.stdout.write(`node ${node}\n`);
  const rows = [["IMAGE", "ID", "SIZE"]];
  for (const image of await listImages(store)) {
    const id = image.id.replace(/^sha256:/, "").slice(0, 13);
    const size = `${(Number(image.size) / 2 ** 20).toFixed(1)}MiB`;
    for (const name of image.repoTags.length > 0 ? image.repoTags : ["<none>"]) rows.push([name, id, size]);
  }
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  for (const [image = "", id = "", size = ""] of rows)
    process.stdout.write(`${image.padEnd(widths[0] ?? 0)}   ${id.padEnd(widths[1] ?? 0)}   ${size}\n`);
}

async function remove({ store, node }: Images, images: readonly string[]): Promise<void> {
  for (const image of images) {
    await removeImage(store, image);
    process.stdout.write(`removed ${image}${onNode(node)}\n`);
  }
}
