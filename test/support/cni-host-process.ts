// A plugin host as a process of its own, so that it can be in another network namespace: `… cni-host-process.ts DIRECTORY`. Says
// "ready" on standard output; ends with its standard input.
import { realClock } from "../../src/base/clock.ts";
import { createLogger } from "../../src/base/log.ts";
import { startNodePlugins } from "../../src/cmd/node/start-node-plugins.ts";

const [, , dataDir = ""] = process.argv;
const verbosity = Number(process.env.CORACLE_TEST_V ?? -1);
const plugins = await startNodePlugins({ dataDir, clock: realClock, logger: createLogger("cni", { verbosity }) });
process.stdout.write("ready\n");
process.stdin.resume();
process.stdin.once("end", () => {
  void plugins.stop().then(() => process.exit(0));
});
