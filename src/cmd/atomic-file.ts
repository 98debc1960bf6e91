// Files that are whole at any instant: written beside their place and renamed into it. Readable by their owner alone,
// since what is written here are keys and kubeconfigs.
import { randomBytes } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";

export interface AtomicWriteOptions {
  /** The bytes are on disk before the file gets its name: for what cannot be made again. Default false. */
  readonly durable?: boolean;
}

/** Writes `text` to `path` with mode 0600, replacing what was there. */
export async function writeFileAtomically(path: string, text: string, options: AtomicWriteOptions = {}): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    const file = await open(temporary, "wx", 0o600);
    try {
      await file.writeFile(text);
      if (options.durable) await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw new Error(`writing ${path}`, { cause: error });
  }
}
