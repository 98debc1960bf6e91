// The flags of `coracle proxy` as /flagz shows them: every one of upstream's, by name, as text in Go's form. None holds a secret.
import { flagTexts } from "../../base/flags.ts";
import { type ProxyValues, proxyFlags } from "./proxy-flags.ts";

/** What upstream shows of flags that nobody gave and that have no effect here. */
const defaults: Readonly<Record<string, string>> = {
  "boot-id-file": "/proc/sys/kernel/random/boot_id",
  help: "false",
  "iptables-localhost-nodeports": "true",
  "iptables-masquerade-bit": "14",
  "ipvs-exclude-cidrs": "[]",
  "ipvs-min-sync-period": "1s",
  "ipvs-strict-arp": "false",
  "ipvs-sync-period": "30s",
  "ipvs-tcp-timeout": "0s",
  "ipvs-tcpfin-timeout": "0s",
  "ipvs-udp-timeout": "0s",
  "kube-api-burst": "10",
  "kube-api-content-type": "application/vnd.kubernetes.protobuf",
  "kube-api-qps": "5",
  "machine-id-file": "/etc/machine-id,/var/lib/dbus/machine-id",
  profiling: "false",
  version: "false",
};

export function shownProxyFlags(values: ProxyValues): Readonly<Record<string, string>> {
  const given = values as Readonly<Record<string, unknown>>;
  const own = Object.entries(flagTexts(proxyFlags, values));
  return Object.fromEntries([
    ...Object.entries(defaults).filter(([name]) => given[name] === undefined),
    ...own.filter(([name]) => given[name] !== undefined || !(name in defaults)),
  ]);
}
