// The flags of how the server meets its clients beside certificates: browsers of other origins, HTTP/2, the way it ends, and
// how it reaches kubelets. Names and defaults are upstream's.
import { boolean, FlagError, type FlagType, type FlagValues, flag, integer, number, optionalText, periodMs } from "../base/flags.ts";
import { compilePattern, type Pattern } from "../base/regex/pattern.ts";

export interface EdgeSettings {
  /** Origins whose scripts may read answers; none by default. */
  readonly allowedOrigins: readonly Pattern[];
  /** The value of Strict-Transport-Security; "" for no such header. */
  readonly transportSecurity: string;
  readonly http2: Http2Settings;
  readonly shutdown: ShutdownSettings;
  readonly kubelet: KubeletClientSettings;
  /** Chooses how connections out of the server are made; directly without it. */
  readonly egressSelectorFile?: string;
}

export interface Http2Settings {
  readonly enabled: boolean;
  readonly maxStreamsPerConnection?: number;
  /** Part of the requests after which the client is asked to connect anew: behind a balancer, to another server. */
  readonly goawayChance: number;
}

export interface ShutdownSettings {
  /** How long everything is served on while /readyz fails, for balancers to notice. */
  readonly delayMs: number;
  /** New requests get 429 while the others end, instead of a refused connection. */
  readonly sendRetryAfter: boolean;
  /** Over how long watches are ended. */
  readonly watchGraceMs: number;
}

export interface KubeletClientSettings {
  readonly certificateFile?: string;
  readonly keyFile?: string;
  readonly authorityFile?: string;
  readonly preferredAddressTypes?: readonly string[];
}

const addressTypes = ["Hostname", "InternalIP", "ExternalIP", "InternalDNS", "ExternalDNS"];

const preferredTypes: FlagType<readonly string[]> = {
  placeholder: "types",
  parse(value) {
    if (value === "") return [];
    const types = value.split(",").map((type) => type.trim());
    if (types.some((type) => !addressTypes.includes(type))) throw new Error(`expected some of ${addressTypes.join(", ")}`);
    return types;
  },
};

const origins: FlagType<readonly Pattern[]> = {
  placeholder: "patterns",
  parse(value, previous) {
    return [...(previous ?? []), ...(value === "" ? [] : value.split(",").map(originPattern))];
  },
};

/** A pattern that fits in the middle of a host name would let strangers in. */
function originPattern(pattern: string): Pattern {
  if (pattern === "") throw new Error("expected a regular expression, found an empty value");
  if (!(/\^|\/\//.test(pattern) && /\$|:/.test(pattern)))
    throw new Error("regular expression does not pin to start/end of host in the origin header");
  return compilePattern(pattern);
}

const directives: FlagType<readonly string[]> = {
  placeholder: "strings",
  parse(value, previous) {
    const given = value === "" ? [] : value.split(",");
    if (!given.every((d) => d === "includeSubDomains" || d === "preload" || /^max-age=[^=]*$/.test(d)))
      throw new Error("allowed values: max-age=expireTime, includeSubDomains, preload");
    return [...(previous ?? []), ...given];
  },
};

export const edgeFlags = {
  "cors-allowed-origins": flag(origins, [], "regular expressions of origins whose pages may call the server from a browser"),
  "strict-transport-security-directives": flag(directives, [], "directives of the Strict-Transport-Security header; none without them"),
  "disable-http2-serving": flag(boolean, false, "speak HTTP/1.1 only"),
  "http2-max-streams-per-connection": flag(integer({ min: 0 }), 0, "requests at a time on one HTTP/2 connection; 0 means 100"),
  "goaway-chance": flag(
    number({ min: 0, max: 0.02 }),
    0,
    "part of the HTTP/2 requests after which the client is asked to connect anew, behind a balancer to another server",
  ),
  "shutdown-delay-duration": flag(periodMs, 0, "how long requests are served on while /readyz fails already"),
  "shutdown-send-retry-after": flag(boolean, false, "answer new requests with 429 while the others end"),
  "shutdown-watch-termination-grace-period": flag(
    periodMs,
    0,
    "over how long watches are ended, so that not all their clients go to other servers at once",
  ),
  "kubelet-client-certificate": flag(optionalText, undefined, "client certificate shown to kubelets; default one of the cluster's own"),
  "kubelet-client-key": flag(optionalText, undefined, "key of that certificate"),
  "kubelet-certificate-authority": flag(optionalText, undefined, "authority of kubelets' serving certificates; default the cluster's own"),
  "egress-selector-config-file": flag(
    optionalText,
    undefined,
    "EgressSelectorConfiguration: through which proxy the cluster, webhooks and extension servers are reached",
  ),
  "kubelet-preferred-address-types": flag(preferredTypes, [], "which of a node's addresses are tried, in order"),
};

/** Checks what flags cannot check alone; throws FlagError. */
export function edgeOptions(values: FlagValues<typeof edgeFlags>): EdgeSettings {
  const [certificateFile, keyFile] = [values["kubelet-client-certificate"], values["kubelet-client-key"]];
  if (!certificateFile !== !keyFile) throw new FlagError("--kubelet-client-certificate and --kubelet-client-key: expected both or neither");
  const authorityFile = values["kubelet-certificate-authority"];
  const types = values["kubelet-preferred-address-types"];
  const streams = values["http2-max-streams-per-connection"];
  return {
    allowedOrigins: values["cors-allowed-origins"],
    transportSecurity: values["strict-transport-security-directives"].join("; "),
    http2: {
      enabled: !values["disable-http2-serving"],
      goawayChance: values["goaway-chance"],
      ...(streams > 0 ? { maxStreamsPerConnection: streams } : {}),
    },
    shutdown: {
      delayMs: values["shutdown-delay-duration"],
      sendRetryAfter: values["shutdown-send-retry-after"],
      watchGraceMs: values["shutdown-watch-termination-grace-period"],
    },
    ...(values["egress-selector-config-file"] ? { egressSelectorFile: values["egress-selector-config-file"] } : {}),
    kubelet: {
      ...(certificateFile && keyFile ? { certificateFile, keyFile } : {}),
      ...(authorityFile ? { authorityFile } : {}),
      ...(types.length > 0 ? { preferredAddressTypes: types } : {}),
    },
  };
}
