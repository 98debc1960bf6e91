// The ways out of the server that --egress-selector-config-file chooses: for what lies in the cluster and for webhooks at a URL.
// Where nothing is chosen, or "Direct", connections are made as without it.
import { readFile } from "node:fs/promises";
import { ConfigError } from "../../api/encode/config-fields.ts";
import { httpConnectTunnel, type Tunnel } from "../../rpc/tunnel.ts";
import { type EgressName, type EgressSelection, readEgressConfiguration } from "./egress-configuration.ts";

export type EgressSelector = Readonly<Partial<Record<EgressName, Tunnel>>>;

/** Throws ConfigError for a file that cannot be read or is wrong, and for what is not there: a proxy before etcd. */
export async function openEgressSelector(file: string): Promise<EgressSelector> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    throw new ConfigError(`unable to read egress selector configuration from ${JSON.stringify(file)} [${(cause as Error).message}]`);
  }
  const selections = await readEgressConfiguration(text);
  const tunnels = await Promise.all(selections.map(async (selection) => [selection.name, await tunnelOf(selection)] as const));
  return Object.fromEntries(tunnels.filter(([, tunnel]) => tunnel !== undefined));
}

async function tunnelOf({ name, protocol, transport }: EgressSelection): Promise<Tunnel | undefined> {
  if (protocol === "Direct") return undefined;
  if (name === "etcd") throw new ConfigError("egress etcd: etcd is reached directly only");
  if (protocol === "GRPC") {
    // Loaded where it is used: few have such a proxy.
    const { konnectivityTunnel } = await import("../../rpc/konnectivity.ts");
    return konnectivityTunnel(transport?.uds?.name ?? "");
  }
  if (transport?.uds) return httpConnectTunnel({ socketPath: transport.uds.name });
  const { url = "", tls } = transport?.tcp ?? {};
  if (!URL.canParse(url)) throw new ConfigError(`egress ${name}: ${JSON.stringify(url)} is no URL`);
  if (!tls) return httpConnectTunnel({ url: new URL(url) });
  const [cert, key, ca] = await Promise.all([
    readFile(tls.clientCert, "utf8"),
    readFile(tls.clientKey, "utf8"),
    tls.caBundle === "" ? undefined : readFile(tls.caBundle, "utf8"),
  ]);
  const named = tls.serverName === "" ? {} : { servername: tls.serverName };
  return httpConnectTunnel({ url: new URL(url), tls: { cert, key, ...(ca === undefined ? {} : { ca }), ...named } });
}
