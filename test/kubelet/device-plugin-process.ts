// A device plugin as a process of its own, as on a real node: registers at the start and again when the kubelet has been
// started anew (its own socket vanishes then). Commands on standard input: "healthy ID", "unhealthy ID".
// Usage: device-plugin-process DIRECTORY RESOURCE ID,ID… ANSWER
import { access } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { realClock } from "../../src/base/clock.ts";
import { SampleDevicePlugin } from "../../src/testing/sample-device-plugin.ts";

const [directory = "", resource = "", ids = "", answer = "{}"] = process.argv.slice(2);
const devices = ids.split(",").map((id) => ({ id, health: "Healthy" }));
const plugin = new SampleDevicePlugin({ directory, resource, devices, answer: JSON.parse(answer) });
await plugin.start();
console.log("registered");

for await (const line of merged()) {
  const [command, id = ""] = line.split(" ");
  if (command === "healthy") plugin.setHealth(id, "Healthy");
  if (command === "unhealthy") plugin.setHealth(id, "Unhealthy");
}

/** Lines of standard input; meanwhile the socket is watched. */
function merged(): AsyncIterable<string> {
  void watchSocket();
  return createInterface({ input: process.stdin });
}

async function watchSocket(): Promise<void> {
  const exists = (name: string): Promise<boolean> =>
    access(join(directory, name)).then(
      () => true,
      () => false,
    );
  for (;;) {
    await realClock.sleep(100);
    if ((await exists("widget.sock")) || !(await exists("kubelet.sock"))) continue;
    await plugin.stop();
    await plugin.start();
    console.log("registered");
  }
}
