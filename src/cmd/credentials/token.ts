// `coracle token create|list|delete|generate`: the tokens with which machines join, as kubeadm's command of that name.
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { isStatus } from "../../api/meta/status-error.ts";
import { configmaps, secrets } from "../../api/resources.generated.ts";
import { formatTime, realClock } from "../../base/clock.ts";
import { boolean, durationMs, flag, list, optionalText, text } from "../../base/flags.ts";
import { goDuration } from "../../kubelet/configuration/duration.ts";
import { CommandError } from "../command-error.ts";
import { parseCommand } from "../command-flags.ts";
import { type ClusterClient, connectToCluster } from "../component/connect.ts";
import { defaultDataDir } from "../data-dir.ts";
import {
  type BootstrapToken,
  defaultTokenGroup,
  generateToken,
  type ListedToken,
  parseToken,
  tokenOf,
  tokenSecret,
  tokenSecretType,
  tokenUsages,
} from "./bootstrap-token.ts";
import { publicKeyHashes } from "./discovery.ts";

const connectionFlags = {
  kubeconfig: flag(optionalText, undefined, "how to reach the API server; default $KUBECONFIG, or that of --data-dir, or ~/.kube/config"),
  "data-dir": flag(text, defaultDataDir(), "directory of the cluster, whose administrator is used"),
};

const createFlags = {
  ...connectionFlags,
  ttl: flag(durationMs, 24 * 3_600_000, "how long the token is good; 0 for ever"),
  usages: flag(list, [], `what it is good for; default ${tokenUsages.join(",")}`),
  groups: flag(list, [], `groups of who shows it, each system:bootstrappers:…; default ${defaultTokenGroup}`),
  description: flag(optionalText, undefined, "what it is for, for a person"),
  "print-join-command": flag(boolean, false, "print the whole coracle join command instead of the token alone"),
};

const usage = `Tokens with which machines join the cluster.

Usage: coracle token COMMAND [flags]

Commands:
  create [TOKEN]      make a token; --print-join-command prints how to join with it
  list                the tokens there are
  delete TOKEN-ID…    delete tokens, by id or whole
  generate            print a token without making it
`;

export async function run([name, ...args]: readonly string[]): Promise<number> {
  switch (name) {
    case "create":
      return create(args);
    case "list":
      return listTokens(args);
    case "delete":
      return deleteTokens(args);
    case "generate":
      process.stdout.write(`${written(generateToken())}\n`);
      return 0;
    default:
      if (name !== undefined && name !== "help" && name !== "--help" && name !== "-h")
        throw new CommandError(`unknown command ${JSON.stringify(name)} (see coracle token --help)`);
      process.stdout.write(usage);
      return name === undefined ? 1 : 0;
  }
}

const written = ({ id, secret }: BootstrapToken): string => `${id}.${secret}`;

async function withCluster<T>(
  values: { readonly kubeconfig: string | undefined; readonly "data-dir": string },
  work: (cluster: ClusterClient) => Promise<T>,
): Promise<T> {
  const own = join(resolve(values["data-dir"]), "admin.kubeconfig");
  const kubeconfig = values.kubeconfig ?? (process.env.KUBECONFIG === undefined && existsSync(own) ? own : undefined);
  const cluster = await connectToCluster({ kubeconfig, clock: realClock, userAgent: "coracle" });
  try {
    return await work(cluster);
  } catch (error) {
    if (isStatus(error)) throw new CommandError(error.message);
    throw error instanceof CommandError ? error : new CommandError(`asking ${cluster.server}`, { cause: error });
  } finally {
    await cluster.close();
  }
}

async function create(args: readonly string[]): Promise<number> {
  const about = { name: "token create", summary: "Makes a token with which machines join the cluster.", positional: "[TOKEN]" };
  const input = parseCommand(about, createFlags, args);
  if (!input) return 0;
  const { values, positional } = input;
  if (positional.length > 1) throw new CommandError("expected one token at most (see coracle token create --help)");
  const token = positional[0] === undefined ? generateToken() : parseToken(positional[0]);
  const usages = values.usages.length > 0 ? values.usages : tokenUsages;
  const groups = values.groups.length > 0 ? values.groups : [defaultTokenGroup];
  const odd = usages.find((u) => !tokenUsages.some((known) => known === u));
  if (odd !== undefined) throw new CommandError(`--usages: expected some of ${tokenUsages.join(", ")}, not ${JSON.stringify(odd)}`);
  const strange = groups.find((group) => !/^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/.test(group));
  if (strange !== undefined)
    throw new CommandError(`--groups: expected names such as system:bootstrappers:nodes, not ${JSON.stringify(strange)}`);
  const { description, ttl: ttlMs } = values;
  await withCluster(values, async (cluster) => {
    const settings = { ttlMs, usages, groups, ...(description === undefined ? {} : { description }) };
    await cluster.client.create(secrets, tokenSecret(token, settings, realClock.now()));
    const line = values["print-join-command"] ? await joinCommand(cluster, token) : written(token);
    process.stdout.write(`${line}\n`);
  });
  return 0;
}

/** The address is the one other machines use: what the cluster publishes. */
async function joinCommand({ client, connection, server }: ClusterClient, token: BootstrapToken): Promise<string> {
  const info = await client.get(configmaps, { namespace: "kube-public", name: "cluster-info" }).catch((error: unknown) => {
    if (isStatus(error, "NotFound")) return undefined;
    throw error;
  });
  const published = /^\s*server: "?([^"\s]+)"?$/m.exec(info?.data?.kubeconfig ?? "")?.[1];
  const caPem = connection.caPem;
  if (caPem === undefined) throw new CommandError("--print-join-command: the kubeconfig has no certificate authority to vouch for");
  const hashes = publicKeyHashes(caPem).map((hash) => ` --ca-cert-hash ${hash}`);
  return `coracle join --server ${published ?? server} --token ${written(token)}${hashes.join("")}`;
}

async function listTokens(args: readonly string[]): Promise<number> {
  const input = parseCommand({ name: "token list", summary: "Lists the tokens with which machines join." }, connectionFlags, args);
  if (!input) return 0;
  await withCluster(input.values, async ({ client }) => {
    const { items } = await client.list(secrets, { namespace: "kube-system", fieldSelector: `type=${tokenSecretType}` });
    const tokens = items.map(tokenOf).filter((token) => token !== undefined);
    if (tokens.length > 0) process.stdout.write(table(tokens, realClock.now()));
  });
  return 0;
}

function table(tokens: readonly ListedToken[], nowMs: number): string {
  const rows = tokens.map(({ token, expiresMs, usages, description, groups }) => [
    token,
    expiresMs === undefined ? "<forever>" : expiresMs <= nowMs ? "<invalid>" : goDuration(Math.floor((expiresMs - nowMs) / 1000) * 1000),
    expiresMs === undefined ? "<never>" : formatTime(expiresMs),
    usages.join(",") || "<none>",
    description || "<none>",
    groups.join(",") || "<none>",
  ]);
  const all = [["TOKEN", "TTL", "EXPIRES", "USAGES", "DESCRIPTION", "EXTRA GROUPS"], ...rows];
  const widths = all[0]?.map((_, i) => Math.max(...all.map((row) => (row[i] ?? "").length))) ?? [];
  return all
    .map(
      (row) =>
        `${row
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join("   ")
          .trimEnd()}\n`,
    )
    .join("");
}

async function deleteTokens(args: readonly string[]): Promise<number> {
  const about = { name: "token delete", summary: "Deletes tokens, by id or whole.", positional: "TOKEN-ID…" };
  const input = parseCommand(about, connectionFlags, args);
  if (!input) return 0;
  if (input.positional.length === 0) throw new CommandError("expected the id of a token (see coracle token delete --help)");
  const ids = input.positional.map((given) => {
    if (/^[a-z0-9]{6}$/.test(given)) return given;
    return parseToken(given).id;
  });
  await withCluster(input.values, async ({ client }) => {
    for (const id of ids) {
      await client.delete(secrets, { namespace: "kube-system", name: `bootstrap-token-${id}` });
      process.stdout.write(`bootstrap token "${id}" deleted\n`);
    }
  });
  return 0;
}
