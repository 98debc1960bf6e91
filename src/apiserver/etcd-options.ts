// The flags of an API server that keeps its objects in etcd, with upstream's names and defaults.
import { durationMs, FlagError, type FlagValues, flag, list, optionalText, text } from "../base/flags.ts";

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
}

export const etcdFlags = {
  "etcd-servers": flag(list, [], "etcd servers (scheme://ip:port); given, objects are kept there"),
  "etcd-cafile": flag(optionalText, undefined, "authority that signed the etcd servers' certificates"),
  "etcd-certfile": flag(optionalText, undefined, "client certificate for etcd"),
  "etcd-keyfile": flag(optionalText, undefined, "key of the client certificate for etcd"),
  "etcd-prefix": flag(text, "/registry", "before every key in etcd"),
  "etcd-compaction-interval": flag(durationMs, 300_000, "time between compactions of etcd; 0 turns them off"),
};

/** Undefined where no servers are given; throws FlagError. */
export function etcdOptions(values: FlagValues<typeof etcdFlags>): EtcdSettings | undefined {
  const servers = values["etcd-servers"];
  if (servers.length === 0) return undefined;
  const [caFile, certFile, keyFile] = [values["etcd-cafile"], values["etcd-certfile"], values["etcd-keyfile"]];
  if (!certFile !== !keyFile) throw new FlagError("--etcd-certfile and --etcd-keyfile: expected both or neither");
  return {
    servers,
    prefix: `/${values["etcd-prefix"].replace(/^\/+|\/+$/g, "")}`,
    compactionIntervalMs: values["etcd-compaction-interval"],
    ...(caFile ? { caFile } : {}),
    ...(certFile && keyFile ? { certFile, keyFile } : {}),
  };
}
