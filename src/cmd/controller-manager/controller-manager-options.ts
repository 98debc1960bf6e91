// What the flags of `coracle controller-manager` ask of the controllers: checked, files read. Problems name the flag, in one
// line.
import { createPrivateKey } from "node:crypto";
import { parseCIDR } from "../../api/meta/ip.ts";
import type { FlagValues } from "../../base/flags.ts";
import { certificateFromPem, type KeyedCertificate, keyMatches } from "../../base/x509/certificate.ts";
import type { StartControllersOptions } from "../../controllers/start-controllers.ts";
import { CommandError } from "../command-error.ts";
import { readPem } from "../component/serve-component.ts";
import { checkedSelection, concurrencyOf, type controllerManagerFlags, signerFlagNames } from "./controller-manager-flags.ts";
import { volumeOptions } from "./volume-flags.ts";

export type ControllerManagerValues = FlagValues<typeof controllerManagerFlags>;

/** A cluster is never cut into more than 2^16 ranges. */
const maxRangeBits = 16;

/** What the flags ask of the controllers. Throws CommandError. */
export async function controllerManagerOptions(values: ControllerManagerValues): Promise<StartControllersOptions> {
  const election = [
    values["leader-elect-lease-duration"],
    values["leader-elect-renew-deadline"],
    values["leader-elect-retry-period"] * 1.2,
  ];
  if (!(Number(election[0]) > Number(election[1]) && Number(election[1]) > Number(election[2])))
    throw new CommandError(
      "--leader-elect-lease-duration must be longer than --leader-elect-renew-deadline, and that than 1.2 times --leader-elect-retry-period",
    );
  const rootCaFile = values["root-ca-file"];
  checkRanges(values);
  return {
    controllers: checkedSelection(values.controllers),
    concurrency: concurrencyOf(values),
    clusterCidrs: values["allocate-node-cidrs"] ? values["cluster-cidr"] : [],
    serviceCidrs: values["service-cluster-ip-range"],
    nodeCidrMaskSizeIpv4: values["node-cidr-mask-size-ipv4"] || values["node-cidr-mask-size"],
    nodeCidrMaskSizeIpv6: values["node-cidr-mask-size-ipv6"],
    nodeMonitorGracePeriodMs: values["node-monitor-grace-period"],
    nodeStartupGracePeriodMs: values["node-startup-grace-period"],
    nodeMonitorPeriodMs: values["node-monitor-period"],
    evictionRates: {
      normalPerSecond: values["node-eviction-rate"],
      slowPerSecond: values["secondary-node-eviction-rate"],
      largeZone: values["large-cluster-size-threshold"],
      unhealthyFraction: values["unhealthy-zone-threshold"],
    },
    terminatedPodGcThreshold: Math.max(0, values["terminated-pod-gc-threshold"]),
    autoscaler: {
      syncPeriodMs: values["horizontal-pod-autoscaler-sync-period"],
      downscaleStabilizationMs: values["horizontal-pod-autoscaler-downscale-stabilization"],
      tolerance: values["horizontal-pod-autoscaler-tolerance"],
      cpuInitializationPeriodMs: values["horizontal-pod-autoscaler-cpu-initialization-period"],
      initialReadinessDelayMs: values["horizontal-pod-autoscaler-initial-readiness-delay"],
    },
    ...(rootCaFile === undefined ? {} : { rootCaPem: await readPem("root-ca-file", rootCaFile) }),
    ...(await signingAuthorities(values)),
    volumes: await volumeOptions(values),
    endpoints: {
      maxPerSlice: values["max-endpoints-per-slice"],
      maxMirroredPerSubset: values["mirroring-max-endpoints-per-subset"],
      batchMs: values["endpoint-updates-batch-period"],
      sliceBatchMs: values["endpointslice-updates-batch-period"],
      mirroringBatchMs: values["mirroring-endpointslice-updates-batch-period"],
    },
    forceDetachOnTimeout: !values["disable-force-detach-on-timeout"],
    resourceQuotaSyncPeriodMs: values["resource-quota-sync-period"],
    clusterSigningDurationMs: values["cluster-signing-duration"],
    legacyTokenCleanUpPeriodMs: values["legacy-service-account-token-clean-up-period"],
  };
}

/** Nodes' ranges must fit into the cluster's, one of each family. */
function checkRanges(values: ControllerManagerValues): void {
  const families = new Set<number>();
  for (const range of values["cluster-cidr"]) {
    const cidr = parseCIDR(range);
    if (!cidr) throw new CommandError(`--cluster-cidr ${range}: expected an address range such as 10.244.0.0/16`);
    const isIpv4 = cidr.network.length === 4;
    if (families.has(cidr.network.length)) throw new CommandError(`--cluster-cidr ${range}: there may be one range of each family`);
    families.add(cidr.network.length);
    const length = isIpv4 ? values["node-cidr-mask-size-ipv4"] || values["node-cidr-mask-size"] : values["node-cidr-mask-size-ipv6"];
    // More ranges than nodes that a cluster can have are not counted, as upstream.
    if (length < cidr.prefixLength || length - cidr.prefixLength > maxRangeBits) {
      const bounds = `from ${cidr.prefixLength} to ${Math.min(isIpv4 ? 32 : 128, cidr.prefixLength + maxRangeBits)}`;
      throw new CommandError(`--cluster-cidr ${range}: the length of nodes' ranges must be ${bounds}, not ${length}`);
    }
  }
  for (const range of values["service-cluster-ip-range"])
    if (!parseCIDR(range)) throw new CommandError(`--service-cluster-ip-range ${range}: expected an address range such as 10.96.0.0/12`);
}

async function signingAuthorities(
  values: ControllerManagerValues,
): Promise<Pick<StartControllersOptions, "clusterSigning" | "clusterSigningFor">> {
  const clusterSigning = await readAuthority(values, "cluster-signing");
  const single: Record<string, KeyedCertificate> = {};
  for (const [signer, name] of Object.entries(signerFlagNames)) {
    const authority = await readAuthority(values, `cluster-signing-${name}`);
    if (authority) single[signer] = authority;
  }
  return { ...(clusterSigning ? { clusterSigning } : {}), clusterSigningFor: single };
}

type AuthorityFlags = "cluster-signing" | `cluster-signing-${(typeof signerFlagNames)[keyof typeof signerFlagNames]}`;

async function readAuthority(values: ControllerManagerValues, flags: AuthorityFlags): Promise<KeyedCertificate | undefined> {
  const certFile = values[`${flags}-cert-file`];
  const keyFile = values[`${flags}-key-file`];
  if (certFile === undefined && keyFile === undefined) return undefined;
  if (certFile === undefined || keyFile === undefined)
    throw new CommandError(`--${flags}-cert-file and --${flags}-key-file belong together: give both or neither`);
  const certificatePem = await readPem(`${flags}-cert-file`, certFile);
  const keyPem = await readPem(`${flags}-key-file`, keyFile);
  let authority: KeyedCertificate;
  try {
    authority = { certificate: certificateFromPem(certificatePem), key: createPrivateKey(keyPem) };
  } catch (cause) {
    throw new CommandError(`--${flags}-cert-file ${certFile}, --${flags}-key-file ${keyFile}: not a certificate and its key`, { cause });
  }
  if (!keyMatches(authority.certificate, authority.key))
    throw new CommandError(`--${flags}-key-file: ${keyFile} is not the key of the certificate in ${certFile}`);
  return authority;
}
