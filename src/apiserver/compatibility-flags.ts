// Flags of kube-apiserver that have nothing to set here, taken so that a manifest written for it starts this one: they tune
// caches, etcd's client and logging. Where a value asks for something that is not there, it is refused.
import { parseQuantity } from "../api/meta/quantity.ts";
import { deprecated, durationMs, type FlagType, flag, flagsWithoutEffect, integer, periodMs } from "../base/flags.ts";

const someTime: FlagType<number> = {
  ...durationMs,
  parse(value) {
    const ms = durationMs.parse(value, undefined);
    if (ms <= 0) throw new Error("expected a duration greater than zero");
    return ms;
  },
};

const quantity: FlagType<string> = {
  placeholder: "quantity",
  parse(value) {
    parseQuantity(value);
    return value;
  },
};

/** Names of resources with the size of their cache: "secrets#100,deployments.apps#50". */
const cacheSizes: FlagType<string> = {
  placeholder: "strings",
  parse(value) {
    const wrong = value.split(",").find((size) => value !== "" && !/^[^#]+#\d+$/.test(size));
    if (wrong !== undefined) throw new Error(`invalid value of watch cache size: ${wrong}`);
    return value;
  },
};

const metricName = "[a-zA-Z_:][a-zA-Z0-9_:]*";

const metricLabels: FlagType<string> = {
  placeholder: "stringToString",
  parse(value) {
    if (!new RegExp(`^${metricName},[a-zA-Z_][a-zA-Z0-9_]*=`).test(value)) throw new Error("expected metric,label=value,value");
    return value;
  },
};

const hiddenFor: FlagType<string> = {
  placeholder: "string",
  parse(value) {
    if (value !== "" && value !== "1.35")
      throw new Error("must be omitted or have the value '1.35'; only the previous minor version is allowed");
    return value;
  },
};

const withoutEffect = flagsWithoutEffect({
  "allow-metric-labels": metricLabels,
  "allow-metric-labels-manifest": undefined,
  "apiserver-count": integer(),
  "cert-dir": undefined,
  "contention-profiling": "true",
  "default-watch-cache-size": integer(),
  "delete-collection-workers": integer(),
  "emulation-forward-compatible": "true",
  "enable-aggregator-routing": "true",
  "enable-garbage-collector": "true",
  "enable-logs-handler": "true",
  "etcd-count-metric-poll-period": durationMs,
  "etcd-db-metric-poll-interval": durationMs,
  "kubelet-timeout": durationMs,
  "lease-reuse-duration-seconds": integer(),
  "livez-grace-period": periodMs,
  "log-flush-frequency": someTime,
  "log-json-info-buffer-size": quantity,
  "log-json-split-stream": "true",
  "log-text-info-buffer-size": quantity,
  "log-text-split-stream": "true",
  "max-connection-bytes-per-sec": integer(),
  "permit-address-sharing": "true",
  "permit-port-sharing": "true",
  "runtime-config-emulation-forward-compatible": "true",
  "show-hidden-metrics-for-version": hiddenFor,
  "storage-initialization-timeout": periodMs,
  "watch-cache": "true",
  "watch-cache-sizes": cacheSizes,
});

/** Taken with one value alone, as other values ask for what is not there. */
const single = {
  "storage-backend": ["etcd3", "of etcd's interfaces only version 3 is spoken"],
  "storage-media-type": ["application/json", "objects are stored as JSON"],
} as const satisfies Readonly<Record<string, readonly [value: string, why: string]>>;

const only = (name: keyof typeof single) =>
  flag(
    {
      placeholder: "string",
      parse(value: string): string {
        const [expected, why] = single[name];
        const given = value || expected;
        if (given !== expected) throw new Error(`expected ${expected}: ${why}`);
        return given;
      },
    },
    single[name][0],
    "no other value",
  );

export const compatibilityFlags = {
  ...withoutEffect,
  "apiserver-count": deprecated(withoutEffect["apiserver-count"], "apiserver-count is deprecated and will be removed in a future version."),
  "default-watch-cache-size": deprecated(
    withoutEffect["default-watch-cache-size"],
    "watch caches are sized automatically and this flag will be removed in a future version",
  ),
  "enable-logs-handler": deprecated(withoutEffect["enable-logs-handler"], "Log handler functionality is deprecated"),
  "storage-backend": only("storage-backend"),
  "storage-media-type": only("storage-media-type"),
};
