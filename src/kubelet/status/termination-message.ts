// What a container had to say about its end: the file at terminationMessagePath, or with FallbackToLogsOnError the last
// lines of its log. Sizes are upstream's.
import { open } from "node:fs/promises";
import { readLogTail } from "../logs/logs.ts";
import type { RuntimeContainer } from "../runtime/runtime-pod.ts";

const maxFileBytes = 4096;
const maxLogBytes = 2048;
const maxLogLines = 80;

/** The runtime's own message with the container's appended. */
export async function terminationMessage(container: RuntimeContainer): Promise<string> {
  const said = await containerMessage(container);
  return [container.message, said].filter((text) => text !== "").join(": ");
}

async function containerMessage(container: RuntimeContainer): Promise<string> {
  const file = container.terminationMessageFile;
  const text = file === undefined ? "" : await lastBytes(file);
  if (text !== "") return text;
  const fallBack = container.terminationMessagePolicy === "FallbackToLogsOnError" && container.exitCode !== 0;
  if (!fallBack || container.reason === "ContainerCannotRun") return "";
  return await readLogTail(container.logPath, { lines: maxLogLines, bytes: maxLogBytes });
}

async function lastBytes(path: string): Promise<string> {
  try {
    const file = await open(path, "r");
    try {
      const { size } = await file.stat();
      const length = Math.min(size, maxFileBytes);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length);
      return buffer.subarray(0, bytesRead).toString("utf8");
    } finally {
      await file.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    return `Error on reading termination log ${path}: ${(error as Error).message}`;
  }
}
