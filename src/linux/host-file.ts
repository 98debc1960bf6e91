// Small files of the system that may not exist: of /proc, /sys and /etc. The kernel makes them up while they are read, in
// microseconds and without waiting for any device; the way through a thread and back would cost ten times the reading itself, and
// a kubelet reads thousands of them for its statistics. So they are read at once, but only so many in one turn of the event loop.
import { closeSync, openSync, readFileSync, readSync } from "node:fs";

const buffer = Buffer.allocUnsafeSlow(64 * 1024);
const readsPerTurn = 64;
let reads = 0;
let nextTurn: Promise<void> | undefined;

/** The file's text without surrounding white space; "" where it is missing or unreadable. */
export async function hostFile(path: string): Promise<string> {
  while (reads >= readsPerTurn) await (nextTurn ??= turn());
  reads++;
  return readAll(path).trim();
}

function turn(): Promise<void> {
  return new Promise((resolve) =>
    setImmediate(() => {
      reads = 0;
      nextTurn = undefined;
      resolve();
    }),
  );
}

function readAll(path: string): string {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, "r");
    let length = 0;
    for (;;) {
      const more = readSync(descriptor, buffer, length, buffer.length - length, null);
      if (more === 0) return buffer.toString("utf8", 0, length);
      length += more;
      if (length === buffer.length) return readFileSync(path, "utf8");
    }
  } catch {
    return ""; // absence is an ordinary answer: another kernel, another distribution, no permission
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
