// The API server's flags, with upstream's names and defaults, and the options they make. The all-in-one and tests build
// the options directly.
import { parseCIDR } from "../api/meta/ip.ts";
import type { FeatureGates } from "../api/semantics/feature-gates.ts";
import {
  allParts,
  boolean,
  deprecated,
  FlagError,
  type FlagType,
  type FlagValues,
  flag,
  flagTexts,
  integer,
  list,
  oneOf,
  optionalText,
  orDefault,
  periodMs,
  refuse,
  text,
} from "../base/flags.ts";
import type { LogOptions } from "../base/log.ts";
import { logFlags, logOptionsOf } from "../base/log-flags.ts";
import type { DefaultTolerationSecondsOptions } from "./admission/default-toleration-seconds.ts";
import { admissionPluginNames } from "./admission/plugin-names.ts";
import { type AuthenticationSettings, authenticationFlags, authenticationOptions } from "./authentication-options.ts";
import { type AuthorizationSettings, authorizationFlags, authorizationOptions } from "./authorization-options.ts";
import { compatibilityFlags } from "./compatibility-flags.ts";
import { type CoordinationSettings, coordinationFlags, coordinationOptions } from "./coordination-options.ts";
import { type EdgeSettings, edgeFlags, edgeOptions } from "./edge-options.ts";
import { type EtcdSettings, etcdFlags, etcdOptions, type StorageCheckSettings, storageChecks } from "./etcd-options.ts";
import { apiServerGatesFlag, resolveApiServerGates } from "./feature-gates.ts";
import { type OperationsSettings, operationsFlags, operationsSettings } from "./operations-options.ts";
import { type PeerSettings, peerFlags, peerOptions } from "./peer-options.ts";
import { type RuntimeConfig, runtimeConfigFlag } from "./runtime-config.ts";
import { type ServingSettings, servingFlags, servingOptions } from "./serving-options.ts";

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

export interface ApiServerSettings {
  readonly storage: "memory" | "lmdb" | "etcd";
  /** Present where the objects are kept in etcd. */
  readonly etcd?: EtcdSettings;
  readonly storageChecks: StorageCheckSettings;
  /** Certificates, keys and the lmdb store lie here. */
  readonly dataDir: string;
  readonly bindAddress: string;
  /** 0 takes any free port. */
  readonly securePort: number;
  /** The address other machines reach this server under; default: bindAddress, or this machine's where that is every address or a loopback one. */
  readonly advertiseAddress?: string;
  /** The name, or "name:port", by which the server is told of in URLs. Default: the advertised address. */
  readonly externalHostname?: string;
  readonly serving: ServingSettings;
  readonly edge: EdgeSettings;
  readonly authentication: AuthenticationSettings;
  /** One range, or one of each family separated by a comma. */
  readonly serviceClusterIpRange: string;
  readonly serviceNodePortRange: PortRange;
  readonly authorization: AuthorizationSettings;
  /** The port of every node at which the service "kubernetes" is reached; absent: it is a ClusterIP. */
  readonly kubernetesServiceNodePort?: number;
  readonly peers: PeerSettings;
  readonly coordination: CoordinationSettings;
  /** Whether containers may be privileged, where nothing else forbids it. */
  readonly allowPrivileged: boolean;
  /** Whether clients are told where extension servers redirect them. */
  readonly forwardsRedirects: boolean;
  readonly enableAdmissionPlugins: readonly string[];
  readonly disableAdmissionPlugins: readonly string[];
  /** Configures admission plugins. */
  readonly admissionControlConfigFile?: string;
  readonly requestTimeoutMs: number;
  /** How long a watch lasts at least that does not say for how long; at most twice as long. */
  readonly minWatchTimeoutMs: number;
  readonly defaultTolerations: DefaultTolerationSecondsOptions;
  readonly operations: OperationsSettings;
  /** What machines need to join with a token: kube-public/cluster-info and kubeadm's roles. */
  readonly publishClusterInfo: boolean;
  /** Which built-in APIs are served, where it is not the default ones. */
  readonly runtimeConfig: RuntimeConfig;
  readonly featureGates: FeatureGates;
  readonly log: LogOptions;
  /** What every flag is, as text, for /flagz. */
  readonly flagTexts: Readonly<Record<string, string>>;
}

const address: FlagType<string> = {
  placeholder: "ip",
  parse(value) {
    if (parseCIDR(`${value}/${value.includes(":") ? 128 : 32}`) === undefined) throw new Error("expected an IP address");
    return value;
  },
};

/** An address, or "" for none. */
const optionalAddress: FlagType<string | undefined> = {
  placeholder: address.placeholder,
  parse: (value) => (value === "" ? undefined : address.parse(value, undefined)),
};

const cidr: FlagType<string> = {
  placeholder: "cidr",
  parse(value) {
    const ranges = value.split(",");
    const parsed = ranges.map(parseCIDR).filter((range) => range !== undefined);
    const families = new Set(parsed.map(({ network }) => network.length));
    if (ranges.length > 2 || families.size < ranges.length)
      throw new Error('expected a range of addresses such as "10.96.0.0/16", or one of each family separated by a comma');
    if (parsed.some(({ network, prefixLength }) => network.length * 8 - prefixLength < 3)) throw new Error("expected at least 8 addresses");
    return value;
  },
};

const portRange: FlagType<PortRange> = {
  placeholder: "first-last",
  parse(value) {
    // Also from the first, and so many more ("30000+100"); alone it is the only one.
    const [, first, sign, end = 0] = /^(\d{1,5})(?:([-+])(\d{1,5}))?$/.exec(value) ?? [];
    const range = { first: Number(first), last: sign === "-" ? Number(end) : Number(first) + Number(end) };
    if (!(range.first >= 1 && range.first <= range.last && range.last <= 65535))
      throw new Error('expected a range of ports such as "30000-32767"');
    return range;
  },
  show: ({ first, last }) => `${first}-${last}`,
};

/** Undefined where the flag was not given. */
const optionalList: FlagType<readonly string[] | undefined> = list as FlagType<readonly string[] | undefined>;

const defaultServiceRange = "10.96.0.0/16";
const defaultNodePorts: PortRange = { first: 30000, last: 32767 };

/** Default of every flag; what an embedding process starts from. */
export const apiServerFlags = {
  storage: flag(
    oneOf("memory", "lmdb", "etcd"),
    "lmdb",
    "where objects are kept: in memory, durably in the data directory, or in etcd (implied by --etcd-servers)",
  ),
  ...etcdFlags,
  "data-dir": flag(text, "coracle-data", "directory of certificates, keys and the store"),
  "bind-address": flag(address, "0.0.0.0", "address to listen on"),
  "secure-port": flag(integer({ min: 0, max: 65535 }), 6443, "port to serve HTTPS on; 0 takes any that is free"),
  "advertise-address": flag(optionalAddress, undefined, "address under which other machines reach this server"),
  "external-hostname": flag(
    optionalText,
    undefined,
    "name of this server in URLs: where the keys of service-account tokens are, and in discovery; default the advertised address",
  ),
  ...servingFlags,
  ...authenticationFlags,
  "service-cluster-ip-range": flag(orDefault(cidr, defaultServiceRange), defaultServiceRange, "addresses of services"),
  "service-node-port-range": flag(orDefault(portRange, defaultNodePorts), defaultNodePorts, "ports of services on every node"),
  "kubernetes-service-node-port": flag(
    integer({ min: 0, max: 65535 }),
    0,
    "port of every node at which the service kubernetes is reached; 0 for none",
  ),
  ...peerFlags,
  ...coordinationFlags,
  ...authorizationFlags,
  "enable-admission-plugins": flag(list, [], "admission plugins to run besides the default ones"),
  "disable-admission-plugins": flag(list, [], "admission plugins not to run"),
  "admission-control": deprecated(
    flag(optionalList, undefined, "the admission plugins to run, and no others"),
    "Use --enable-admission-plugins or --disable-admission-plugins instead. Will be removed in a future version.",
  ),
  "allow-privileged": flag(boolean, true, "let containers be privileged, where PodSecurity or another plugin does not forbid it"),
  "aggregator-reject-forwarding-redirect": flag(boolean, true, "answer clients with 502 where an extension server redirects them"),
  "admission-control-config-file": flag(optionalText, undefined, "file with the configuration of admission plugins"),
  "default-not-ready-toleration-seconds": flag(
    integer(),
    300,
    "how long pods that say nothing of it stay on a node that is not ready (DefaultTolerationSeconds)",
  ),
  "default-unreachable-toleration-seconds": flag(integer(), 300, "the same for a node that is unreachable"),
  "request-timeout": flag(periodMs, 60_000, "how long a request may take that is no watch, log or exec"),
  "min-request-timeout": flag(
    integer({ min: 1 }),
    1800,
    "seconds that a watch lasts at least which does not say for how long; at most twice as many",
  ),
  "publish-cluster-info": flag(
    boolean,
    true,
    "publish what machines need to join with a token: kube-public/cluster-info and kubeadm's roles",
  ),
  "runtime-config": flag(
    runtimeConfigFlag,
    new Map(),
    'built-in APIs to serve or not: "api/beta=true", "certificates.k8s.io/v1beta1=true", "batch/v1/jobs=false"',
  ),
  "feature-gates": flag(apiServerGatesFlag, {}, "gates of v1.36; those that cannot be turned here are refused"),
  ...edgeFlags,
  ...operationsFlags,
  ...compatibilityFlags,
  ...logFlags,
};

/** --admission-control names all that run, the other two what is different from the default. */
function admissionPluginOptions(
  values: FlagValues<typeof apiServerFlags>,
): Pick<ApiServerSettings, "enableAdmissionPlugins" | "disableAdmissionPlugins"> {
  const [only, enable, disable] = [values["admission-control"], values["enable-admission-plugins"], values["disable-admission-plugins"]];
  if (only === undefined) return { enableAdmissionPlugins: enable, disableAdmissionPlugins: disable };
  const unknown = only.filter((name) => !admissionPluginNames.includes(name));
  refuse(
    [
      enable.length > 0 || disable.length > 0,
      "--admission-control and --enable-admission-plugins or --disable-admission-plugins: expected the former or the latter",
    ],
    [
      unknown.length > 0,
      `--admission-control: unknown plugin ${JSON.stringify(unknown[0])}, expected some of ${admissionPluginNames.toSorted().join(", ")}`,
    ],
  );
  return { enableAdmissionPlugins: only, disableAdmissionPlugins: admissionPluginNames.filter((name) => !only.includes(name)) };
}

function kubernetesServiceOptions(values: FlagValues<typeof apiServerFlags>): Pick<ApiServerSettings, "kubernetesServiceNodePort"> {
  const [port, { first, last }] = [values["kubernetes-service-node-port"], values["service-node-port-range"]];
  if (port === 0) return {};
  if (port < first || port > last)
    throw new FlagError(`--kubernetes-service-node-port: expected a port of --service-node-port-range, ${first}-${last}`);
  return { kubernetesServiceNodePort: port };
}

/** Of etcd where its servers are given. */
function storageOf(values: FlagValues<typeof apiServerFlags>): Pick<ApiServerSettings, "storage" | "etcd"> {
  const etcd = etcdOptions(values);
  if (values.storage === "etcd" && !etcd) throw new FlagError("--storage etcd: expected --etcd-servers");
  return etcd ? { storage: "etcd", etcd } : { storage: values.storage };
}

/** Checks what flags cannot check alone; throws a FlagError that has everything that was found. */
export function apiServerOptions(values: FlagValues<typeof apiServerFlags>): ApiServerSettings {
  const present = <K extends string>(key: K, value: string | undefined): { readonly [P in K]?: string } =>
    value === undefined || value === "" ? {} : ({ [key]: value } as { readonly [P in K]?: string });
  const featureGates = resolveApiServerGates(values["feature-gates"]);
  const { storage, admission, kubernetesService, ...parts } = allParts({
    storage: () => storageOf(values),
    serving: () => servingOptions(values),
    edge: () => edgeOptions(values),
    authentication: () => authenticationOptions(values),
    authorization: () => authorizationOptions(values),
    operations: () => operationsSettings(values),
    log: () => logOptionsOf(values),
    admission: () => admissionPluginOptions(values),
    kubernetesService: () => kubernetesServiceOptions(values),
    peers: () => peerOptions(values, featureGates),
    coordination: () => coordinationOptions(values),
  });
  return {
    ...storage,
    ...parts,
    dataDir: values["data-dir"],
    bindAddress: values["bind-address"],
    securePort: values["secure-port"],
    ...present("advertiseAddress", values["advertise-address"]),
    ...present("externalHostname", values["external-hostname"]),
    serviceClusterIpRange: values["service-cluster-ip-range"],
    serviceNodePortRange: values["service-node-port-range"],
    ...admission,
    ...kubernetesService,
    storageChecks: storageChecks(values),
    allowPrivileged: values["allow-privileged"],
    forwardsRedirects: !values["aggregator-reject-forwarding-redirect"],
    ...present("admissionControlConfigFile", values["admission-control-config-file"]),
    requestTimeoutMs: values["request-timeout"],
    minWatchTimeoutMs: values["min-request-timeout"] * 1000,
    defaultTolerations: {
      notReadySeconds: values["default-not-ready-toleration-seconds"],
      unreachableSeconds: values["default-unreachable-toleration-seconds"],
    },
    publishClusterInfo: values["publish-cluster-info"],
    runtimeConfig: values["runtime-config"],
    featureGates,
    flagTexts: flagTexts(apiServerFlags, values),
  };
}
