// The flags of an API server that keeps its objects in etcd, with upstream's names and defaults.
import { durationMs, FlagError, type FlagType, type FlagValues, flag, list, optionalText, text } from "../base/flags.ts";

export interface EtcdSettings {
  /** "https://10.0.0.1:2379". */
  readonly servers: readonly string[];
  readonly caFile?: string;
  /** Client certificate and key; both or neither. */
  readonly certFile?: string;
  readonly keyFile?: string;
  /** "/registry". */
  readonly prefix: string;
  /** 0: this server does not compact. */
  readonly compactionIntervalMs: number;
  /** Resources that lie in other servers than these. */
  readonly overrides: readonly EtcdOverride[];
}

export interface EtcdOverride {
  /** "" for the core group. */
  readonly group: string;
  readonly resource: string;
  readonly servers: readonly string[];
}

/** How long the checks "etcd" and "etcd-readiness" may take. */
export interface StorageCheckSettings {
  readonly healthTimeoutMs: number;
  readonly readyTimeoutMs: number;
}

const defaultCheckMs = 2000;

const overrides: FlagType<readonly EtcdOverride[]> = {
  placeholder: "strings",
  parse(value, previous) {
    const given = value === "" ? [] : value.split(",").map(parseOverride);
    return [...(previous ?? []), ...given];
  },
  show: (all) => all.map(({ group, resource, servers }) => `${group}/${resource}#${servers.join(";")}`).join(","),
};

/** What is written in one transaction with objects of other resources: addresses and ports of services. */
const together = new Set(["/services", "networking.k8s.io/ipaddresses"]);

function parseOverride(text: string): EtcdOverride {
  const [, group = "", resource, list = ""] = /^([^/#]*)\/([^/#]+)#([^#]+)$/.exec(text) ?? [];
  const servers = list.split(";");
  if (resource === undefined || servers.includes(""))
    throw new Error("expected group/resource#servers, where servers are URLs, separated by semicolons");
  if (together.has(`${group}/${resource}`))
    throw new Error(`${resource} are written together with objects of other resources, which lie in --etcd-servers`);
  return { group, resource, servers };
}

export const etcdFlags = {
  "etcd-servers": flag(list, [], "etcd servers (scheme://ip:port); given, objects are kept there"),
  "etcd-servers-overrides": flag(
    overrides,
    [],
    'etcd servers of single built-in resources, "group/resource#servers" with semicolons between servers: "/events#http://etcd4:2379"',
  ),
  "etcd-cafile": flag(optionalText, undefined, "authority that signed the etcd servers' certificates"),
  "etcd-certfile": flag(optionalText, undefined, "client certificate for etcd"),
  "etcd-keyfile": flag(optionalText, undefined, "key of the client certificate for etcd"),
  "etcd-prefix": flag(text, "/registry", "before every key in etcd"),
  "etcd-compaction-interval": flag(durationMs, 300_000, "time between compactions of etcd; 0 turns them off"),
  "etcd-healthcheck-timeout": flag(durationMs, defaultCheckMs, "how long the store may take to answer the health check etcd"),
  "etcd-readycheck-timeout": flag(durationMs, defaultCheckMs, "the same for the check etcd-readiness"),
};

/** Of any store. 0 is the default, as upstream has it. */
export const storageChecks = (values: FlagValues<typeof etcdFlags>): StorageCheckSettings => ({
  healthTimeoutMs: values["etcd-healthcheck-timeout"] || defaultCheckMs,
  readyTimeoutMs: values["etcd-readycheck-timeout"] || defaultCheckMs,
});

/** Undefined where no servers are given; throws FlagError. */
export function etcdOptions(values: FlagValues<typeof etcdFlags>): EtcdSettings | undefined {
  const [servers, overrides] = [values["etcd-servers"], values["etcd-servers-overrides"]];
  if (servers.length === 0) {
    if (overrides.length > 0) throw new FlagError("--etcd-servers-overrides: expected --etcd-servers beside it");
    return undefined;
  }
  const [caFile, certFile, keyFile] = [values["etcd-cafile"], values["etcd-certfile"], values["etcd-keyfile"]];
  if (!certFile !== !keyFile) throw new FlagError("--etcd-certfile and --etcd-keyfile: expected both or neither");
  return {
    servers,
    prefix: `/${values["etcd-prefix"].replace(/^\/+|\/+$/g, "")}`,
    compactionIntervalMs: values["etcd-compaction-interval"],
    overrides,
    ...(caFile ? { caFile } : {}),
    ...(certFile && keyFile ? { certFile, keyFile } : {}),
  };
}
