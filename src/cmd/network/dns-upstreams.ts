// Which resolvers the cluster's DNS asks: those of a resolv.conf, followed where it changes, or those of flags.
import { readFile } from "node:fs/promises";
import { parseIP } from "../../api/meta/ip.ts";
import type { Clock } from "../../base/clock.ts";
import type { FlagType } from "../../base/flags.ts";
import { followFiles } from "../../base/followed-files.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { parseResolvConf } from "../../base/resolv-conf.ts";
import type { ServerAddress } from "../../dns/exchange.ts";

/** None where the file cannot be read. */
export async function readUpstreams(path: string): Promise<readonly ServerAddress[]> {
  return upstreamsOf(await readFile(path, "utf8").catch(() => "")); // a machine without a resolver has no names outside
}

export function upstreamsOf(resolvConf: string): readonly ServerAddress[] {
  return parseResolvConf(resolvConf)
    .servers.filter((address) => parseIP(address.split("%", 1)[0] ?? "") !== undefined)
    .map((address) => ({ address, port: 53 }));
}

export function followUpstreams(
  path: string,
  {
    clock,
    logger,
    changed,
  }: { readonly clock: Clock; readonly logger: Logger; readonly changed: (servers: readonly ServerAddress[]) => void },
): Running {
  let last = "";
  return followFiles([{ path, contents: "" }], {
    clock,
    changed([contents = ""]) {
      const servers = upstreamsOf(contents);
      const text = JSON.stringify(servers);
      if (last !== "" && text !== last) changed(servers);
      last = text;
    },
    failed: (error) => logger.info("The resolvers of the machine cannot be read", { error: errorText(error) }, 2),
  });
}

/** "192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]:5353". */
export function parseServer(text: string): ServerAddress {
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(text);
  const address = match?.[1] ?? match?.[2] ?? text;
  const port = Number(match?.[3] ?? 53);
  if (!parseIP(address) || port < 1 || port > 65_535)
    throw new Error(`expected an address such as 192.0.2.1 or 192.0.2.1:53, not ${JSON.stringify(text)}`);
  return { address, port };
}

export const serverList: FlagType<readonly ServerAddress[]> = {
  placeholder: "addresses",
  parse: (value, previous) => [
    ...(previous ?? []),
    ...value
      .split(",")
      .filter((part) => part !== "")
      .map(parseServer),
  ],
};

/** "corp.example=192.0.2.1,other.example=192.0.2.2"; a domain given twice has two resolvers. */
export const stubDomains: FlagType<ReadonlyMap<string, readonly ServerAddress[]>> = {
  placeholder: "domain=address,…",
  parse(value, previous) {
    const all = new Map(previous);
    for (const pair of value.split(",").filter((part) => part !== "")) {
      const at = pair.indexOf("=");
      const domain = pair.slice(0, Math.max(0, at)).toLowerCase();
      if (!/^([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?$/.test(domain))
        throw new Error(`expected domain=address, not ${JSON.stringify(pair)}`);
      all.set(domain, [...(all.get(domain) ?? []), parseServer(pair.slice(at + 1))]);
    }
    return all;
  },
};
