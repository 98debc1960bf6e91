// Flags of kube-apiserver that have nothing to set here, taken so that a manifest written for it starts this one: they tune
// caches, etcd's client and logging. Where a value asks for something that is not there, it is refused.
import { flag, flagsWithoutEffect } from "../base/flags.ts";

const withoutEffect = flagsWithoutEffect({
  "allow-metric-labels": undefined,
  "allow-metric-labels-manifest": undefined,
  "apiserver-count": undefined,
  "cert-dir": undefined,
  "contention-profiling": "true",
  "coordinated-leadership-lease-duration": undefined,
  "coordinated-leadership-renew-deadline": undefined,
  "coordinated-leadership-retry-period": undefined,
  "default-watch-cache-size": undefined,
  "delete-collection-workers": undefined,
  "disabled-metrics": undefined,
  "emulation-forward-compatible": "true",
  "enable-aggregator-routing": "true",
  "enable-garbage-collector": "true",
  "enable-logs-handler": "true",
  "etcd-count-metric-poll-period": undefined,
  "etcd-db-metric-poll-interval": undefined,
  "etcd-healthcheck-timeout": undefined,
  "etcd-readycheck-timeout": undefined,
  "external-hostname": undefined,
  "kubelet-timeout": undefined,
  "lease-reuse-duration-seconds": undefined,
  "livez-grace-period": undefined,
  "log-flush-frequency": undefined,
  "log-json-info-buffer-size": undefined,
  "log-json-split-stream": "true",
  "log-text-info-buffer-size": undefined,
  "log-text-split-stream": "true",
  "max-connection-bytes-per-sec": undefined,
  "permit-address-sharing": "true",
  "permit-port-sharing": "true",
  "runtime-config-emulation-forward-compatible": "true",
  "send-retry-after-while-not-ready-once": "true",
  "show-hidden-metrics-for-version": undefined,
  "storage-initialization-timeout": undefined,
  "watch-cache": "true",
  "watch-cache-sizes": undefined,
});

/** Taken with one value alone, as other values ask for what is not there. */
const single = {
  "aggregator-reject-forwarding-redirect": ["true", "redirects of extension servers are never followed for clients"],
  "allow-privileged": ["true", "privileged containers are refused by PodSecurity, not by a flag"],
  "default-not-ready-toleration-seconds": ["300", "DefaultTolerationSeconds has no other time"],
  "default-unreachable-toleration-seconds": ["300", "DefaultTolerationSeconds has no other time"],
  "kubernetes-service-node-port": ["0", "the service kubernetes is a ClusterIP"],
  "min-request-timeout": ["1800", "watches last 30 to 60 minutes"],
  "storage-backend": ["etcd3", "of etcd's interfaces only version 3 is spoken"],
  "storage-media-type": ["application/json", "objects are stored as JSON"],
} as const satisfies Readonly<Record<string, readonly [value: string, why: string]>>;

const only = (name: keyof typeof single, bare?: "true") =>
  flag(
    {
      placeholder: bare === undefined ? "string" : "",
      ...(bare === undefined ? {} : { bare }),
      parse(value: string): string {
        const [expected, why] = single[name];
        if (value !== expected) throw new Error(`expected ${expected}: ${why}`);
        return value;
      },
    },
    single[name][0],
    "no other value",
  );

export const compatibilityFlags = {
  ...withoutEffect,
  "aggregator-reject-forwarding-redirect": only("aggregator-reject-forwarding-redirect", "true"),
  "allow-privileged": only("allow-privileged", "true"),
  "default-not-ready-toleration-seconds": only("default-not-ready-toleration-seconds"),
  "default-unreachable-toleration-seconds": only("default-unreachable-toleration-seconds"),
  "kubernetes-service-node-port": only("kubernetes-service-node-port"),
  "min-request-timeout": only("min-request-timeout"),
  "storage-backend": only("storage-backend"),
  "storage-media-type": only("storage-media-type"),
};
