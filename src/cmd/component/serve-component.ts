// Serves a component's health and metrics as its flags say. What it takes is loaded only when something is served.
import { readFile } from "node:fs/promises";
import type { Clock } from "../../base/clock.ts";
import { type Flags, type FlagValues, flagTexts } from "../../base/flags.ts";
import type { StopStack } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { Client } from "../../client/client.ts";
import { CommandError } from "../command-error.ts";
import type { servingFlags } from "./component-flags.ts";
import type { ComponentServerDeps } from "./component-server.ts";

export interface ServedComponent {
  readonly values: FlagValues<ReturnType<typeof servingFlags>>;
  readonly metrics: MetricsRegistry;
  readonly checks: () => ReadonlyMap<string, string | undefined>;
  /** What /configz shows. */
  readonly configuration: Readonly<Record<string, unknown>>;
  /** "kube-scheduler". */
  readonly component: string;
  /** All of the command. */
  readonly flags: Flags;
  /** More pages of figures, by path. */
  readonly pages?: ComponentServerDeps["pages"];
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
}

export async function readPem(flagName: string, file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new CommandError(`--${flagName}: ${file} cannot be read`, { cause });
  }
}

export async function serveComponent(served: ServedComponent, stack: StopStack): Promise<void> {
  const { values, metrics, checks, configuration, component, client, clock } = served;
  if (values["secure-port"] === 0) return;
  const [{ startComponentServer }, { createComponentAccess }, { servingPair }] = await Promise.all([
    import("./component-server.ts"),
    import("./component-access.ts"),
    import("./component-certificate.ts"),
  ]);
  const clientCaFile = values["client-ca-file"];
  const clientCa = clientCaFile === undefined ? undefined : await readPem("client-ca-file", clientCaFile);
  const pair = await servingPair(values["tls-cert-file"], values["tls-private-key-file"], clock);
  const access = createComponentAccess({ client, clock, alwaysAllow: values["authorization-always-allow-paths"] });
  const address = { address: values["bind-address"], port: values["secure-port"] };
  const options = { ...address, ...pair, ...(clientCa === undefined ? {} : { clientCa }) };
  const logger = served.logger.named("server");
  const flags = flagTexts(served.flags, values);
  stack.add(
    await startComponentServer(
      { logger, clock, metrics, access, checks, component, configuration, flags, pages: served.pages ?? {} },
      options,
    ),
  );
}
