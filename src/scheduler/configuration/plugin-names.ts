// The plugins of v1.36 by name, in the order of the default profile, with the extension points that each has and its weight.
// Some of them have nothing to do here (their names are known, so that configurations written for upstream are read): those
// that no plugin of ours stands behind (GangScheduling, whose API upstream has off by default). FailureBackoff is ours.

export const extensionPoints = [
  "preEnqueue",
  "queueSort",
  "preFilter",
  "filter",
  "postFilter",
  "preScore",
  "score",
  "reserve",
  "permit",
  "preBind",
  "bind",
  "postBind",
  "placementGenerate",
  "placementScore",
] as const;

export type ExtensionPoint = (typeof extensionPoints)[number];

export interface KnownPlugin {
  readonly points: readonly ExtensionPoint[];
  /** Of its score in the default profile. */
  readonly weight?: number;
  /** Not part of the default profile. */
  readonly optional?: true;
}

export const knownPlugins: Readonly<Record<string, KnownPlugin>> = {
  SchedulingGates: { points: ["preEnqueue"] },
  PrioritySort: { points: ["queueSort"] },
  NodeUnschedulable: { points: ["filter"] },
  NodeName: { points: ["filter"] },
  TaintToleration: { points: ["filter", "preScore", "score"], weight: 3 },
  NodeAffinity: { points: ["preFilter", "filter", "preScore", "score"], weight: 2 },
  NodePorts: { points: ["preFilter", "filter"] },
  NodeResourcesFit: { points: ["preFilter", "filter", "preScore", "score"], weight: 1 },
  VolumeRestrictions: { points: ["preFilter", "filter"] },
  NodeVolumeLimits: { points: ["preFilter", "filter"] },
  VolumeBinding: { points: ["preFilter", "filter", "preScore", "score", "reserve", "preBind"] },
  VolumeZone: { points: ["preFilter", "filter"] },
  PodTopologySpread: { points: ["preFilter", "filter", "preScore", "score"], weight: 2 },
  InterPodAffinity: { points: ["preFilter", "filter", "preScore", "score"], weight: 2 },
  DynamicResources: { points: ["preEnqueue", "preFilter", "filter", "postFilter", "score", "reserve", "preBind"], weight: 2 },
  DefaultPreemption: { points: ["preEnqueue", "postFilter"] },
  NodeResourcesBalancedAllocation: { points: ["preScore", "score"], weight: 1 },
  ImageLocality: { points: ["score"], weight: 1 },
  DefaultBinder: { points: ["bind"] },
  NodeDeclaredFeatures: { points: ["preFilter", "filter"] },
  FailureBackoff: { points: ["score"], optional: true },
  GangScheduling: { points: ["preEnqueue", "reserve", "permit"], optional: true },
};

/** In-tree plugins of earlier versions that upstream refuses by name. */
export const removedPlugins: ReadonlySet<string> = new Set(["AzureDiskLimits", "CinderLimits", "EBSLimits", "GCEPDLimits"]);
