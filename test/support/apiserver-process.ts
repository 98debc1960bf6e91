// An API server alone in a process of its own, as users start it: the contract of `coracle apiserver`.
import { writeFile } from "node:fs/promises";
import { request } from "node:https";
import { join } from "node:path";
import { createHttpsTransport } from "../../src/client/https-transport.ts";
import { loadKubeconfig } from "../../src/client/kubeconfig.ts";
import type { Transport } from "../../src/client/transport.ts";
import { type BackgroundCoracle, freePort, startCoracle, temporaryDirectory, until } from "./processes.ts";

export interface ApiServerProcess {
  readonly url: string;
  /** Of a user in system:masters. */
  readonly token: string;
  readonly dataDir: string;
  readonly process: BackgroundCoracle;
  stop(): Promise<void>;
}

export async function startApiServerProcess(extra: readonly string[] = []): Promise<ApiServerProcess> {
  const directory = await temporaryDirectory("api");
  const token = "test-admin-token";
  const tokens = join(directory.path, "tokens.csv");
  // The user of the recorded conversations.
  await writeFile(tokens, `${token},admin,1,"system:masters"\n`, { mode: 0o600 });
  const port = await freePort();
  const dataDir = join(directory.path, "data");
  const process = startCoracle([
    "apiserver",
    "--storage",
    "memory",
    "--secure-port",
    String(port),
    "--token-auth-file",
    tokens,
    "--data-dir",
    dataDir,
    ...extra,
  ]);
  const url = `https://127.0.0.1:${port}`;
  try {
    await until("the API server says it is ready", async () => {
      if (process.process.exitCode !== null) throw new Error(`it has ended:\n${process.output()}`);
      // Its last word comes after the kubeconfig has been written.
      return (await fetchText(`${url}/readyz`, token)) === "ok" && process.output().includes("API server ready at");
    });
  } catch (error) {
    await process.stop();
    throw new Error(`${(error as Error).message}\n${process.output()}`);
  }
  return {
    url,
    token,
    dataDir,
    process,
    async stop() {
      await process.stop();
      await directory.remove();
    },
  };
}

/** A server's administrator, by the kubeconfig that the server has written. */
export const adminKubeconfig = (dataDir: string): string => join(dataDir, "admin.kubeconfig");

export async function adminTransport(dataDir: string): Promise<Transport> {
  return createHttpsTransport(await loadKubeconfig({ path: adminKubeconfig(dataDir) }));
}

/** The body of a GET, whatever its status; the server's certificate is not checked. */
export function fetchText(url: string, token: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      url,
      { rejectUnauthorized: false, agent: false, headers: { authorization: `Bearer ${token}` }, timeout: 5_000 },
      (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk) => (text += chunk));
        response.on("end", () => resolve(text));
      },
    );
    outgoing.on("error", reject);
    outgoing.on("timeout", () => outgoing.destroy(new Error("timeout")));
    outgoing.end();
  });
}
