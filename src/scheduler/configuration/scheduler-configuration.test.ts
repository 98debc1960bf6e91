import { describe, expect, it } from "vitest";
import { readSchedulerConfiguration } from "./scheduler-configuration.ts";

const head = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";
const read = (yaml: string) => readSchedulerConfiguration(head + yaml);
const problem = async (yaml: string): Promise<string> => {
  try {
    await read(yaml);
  } catch (error) {
    return (error as Error).message;
  }
  return "";
};
const onlyProfile = async (yaml: string) => {
  const [profile] = (await read(yaml)).profiles;
  if (!profile) throw new Error("there is always a profile");
  return profile;
};

describe("readSchedulerConfiguration()", () => {
  it("fills in upstream's defaults", async () => {
    const { profiles, leaderElection, ...rest } = await read("");
    expect(rest).toEqual({
      extenders: [],
      clientConnection: { qps: 50, burst: 100 },
      parallelism: 16,
      podInitialBackoffSeconds: 1,
      podMaxBackoffSeconds: 10,
    });
    expect(leaderElection).toEqual({
      leaderElect: true,
      leaseDurationMs: 15_000,
      renewDeadlineMs: 10_000,
      retryPeriodMs: 2_000,
      resourceLock: "leases",
      resourceName: "kube-scheduler",
      resourceNamespace: "kube-system",
    });
    const [profile] = profiles;
    expect(profile?.schedulerName).toBe("default-scheduler");
    expect(profile?.plugins.scoreWeights).toMatchObject({ TaintToleration: 3, NodeAffinity: 2, NodeResourcesFit: 1, ImageLocality: 1 });
    expect(profile?.plugins.points.bind).toEqual(["DefaultBinder"]);
    expect(profile?.plugins.points.postFilter).toEqual(["DynamicResources", "DefaultPreemption"]);
  });

  it("refuses fields that it does not know, wherever they stand", async () => {
    expect(await problem("profile: []")).toBe('strict decoding error: unknown field "profile"');
    expect(await problem("profiles: [{schedulername: a}]")).toBe('strict decoding error: unknown field "profiles[0].schedulername"');
    expect(await problem("profiles: [{plugins: {scores: {}}}]")).toBe('strict decoding error: unknown field "profiles[0].plugins.scores"');
    expect(await problem("leaderElection: {leaderelect: false}")).toBe('strict decoding error: unknown field "leaderElection.leaderelect"');
    expect(await problem("extenders: [{urlPrefix: 'http://a', filterverb: f}]")).toBe(
      'strict decoding error: unknown field "extenders[0].filterverb"',
    );
    const args = "profiles: [{pluginConfig: [{name: InterPodAffinity, args: {hardWeight: 1}}]}]";
    expect(await problem(args)).toBe(
      "strict decoding error: decoding .profiles[0].pluginConfig[0]: strict decoding error: " +
        'decoding args for plugin InterPodAffinity: strict decoding error: unknown field "hardWeight"',
    );
    expect(await problem("foo: 1\nbar: 2\nparallelism: -1")).toBe('strict decoding error: unknown field "foo", unknown field "bar"');
    await expect(
      readSchedulerConfiguration("apiVersion: kubescheduler.config.k8s.io/v1beta3\nkind: KubeSchedulerConfiguration"),
    ).rejects.toThrow(
      'no kind "KubeSchedulerConfiguration" is registered for version "kubescheduler.config.k8s.io/v1beta3" in scheme "pkg/scheduler/',
    );
    await expect(readSchedulerConfiguration("apiVersion: v1\n")).rejects.toThrow("Object 'Kind' is missing in 'apiVersion: v1\n'");
  });

  it("names every value that is not allowed", async () => {
    expect(await problem("parallelism: 0\npercentageOfNodesToScore: 101\npodInitialBackoffSeconds: 20")).toBe(
      "[parallelism: Invalid value: 0: should be an integer value greater than zero, " +
        "percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100], " +
        "podMaxBackoffSeconds: Invalid value: 10: must be greater than or equal to PodInitialBackoffSeconds]",
    );
    expect(await problem("profiles: [{schedulerName: a}, {schedulerName: a}, {}]")).toBe(
      "[profiles[2].schedulerName: Required value, profiles[1].schedulerName: Duplicate value: {}]",
    );
    expect(await problem("leaderElection: {leaseDuration: 5s}")).toMatch("leaderElection.leaseDuration: Invalid value:");
    expect(await problem("leaderElection: {resourceLock: endpoints}")).toBe(
      'leaderElection.resourceLock: Invalid value: "endpoints": resourceLock value must be "leases"',
    );
    expect(await problem("clientConnection: {burst: -1}")).toBe("clientConnection.burst: Invalid value: -1: must be non-negative");
  });

  it("checks plugins' arguments", async () => {
    const args = (name: string, text: string) => problem(`profiles: [{pluginConfig: [{name: ${name}, args: ${text}}]}]`);
    const at = "profiles[0].pluginConfig[0].args";
    const fit = 'initializing profiles: creating profile for scheduler name default-scheduler: initializing plugin "NodeResourcesFit": ';
    expect(await args("InterPodAffinity", "{hardPodAffinityWeight: 101}")).toBe(
      `${at}.hardPodAffinityWeight: Invalid value: 101: not in valid range [0, 100]`,
    );
    expect(await args("DefaultPreemption", "{minCandidateNodesPercentage: 0, minCandidateNodesAbsolute: 0}")).toMatch(
      "cannot be zero at the same time as minCandidateNodesAbsolute",
    );
    expect(await args("NodeResourcesFit", "{scoringStrategy: {type: RequestedToCapacityRatio}}")).toBe(
      `${fit}scoringStrategy.requestedToCapacityRatio: Required value: must be specified when type is RequestedToCapacityRatio`,
    );
    expect(await args("NodeResourcesFit", "{scoringStrategy: {type: Other}}")).toBe(
      `${fit}scoringStrategy.type: Unsupported value: "Other": supported values: "LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"`,
    );
    expect(await args("NodeResourcesBalancedAllocation", "{resources: [{name: cpu}, {name: cpu, weight: 2}]}")).toBe(
      `[${at}.resources[1].name: Duplicate value: "cpu", ${at}.resources[1].weight: Invalid value: 2: must be 1]`,
    );
    expect(
      await args("PodTopologySpread", "{defaultConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]}"),
    ).toBe(`${at}.defaultingType: Invalid value: "System": when .defaultConstraints are not empty`);
    const affinity = (term: string) =>
      args("NodeAffinity", `{addedAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [${term}]}}}`);
    const terms = `${at}.addedAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms`;
    expect(await affinity("")).toBe("");
    expect(await affinity("{matchExpressions: [{key: a, operator: In}]}")).toBe(
      `${terms}[0].matchExpressions[0].values: Invalid value: null: for 'in', 'notin' operators, values set can't be empty`,
    );
    expect(await affinity("{matchFields: [{key: metadata.name, operator: Gt, values: ['1']}]}")).toBe(
      `${terms}[0].matchFields[0].operator: Unsupported value: "Gt": supported values: "In", "NotIn"`,
    );
    expect(await args("DynamicResources", "{filterTimeout: -1s}")).toBe(
      `${at}.filterTimeout: Invalid value: "-1s": must be zero or positive`,
    );
    expect(await args("VolumeBinding", "{shape: [{utilization: 1, score: 2}]}")).toBe(
      `${at}.shape: Invalid value: [{"Utilization":1,"Score":2}]: unexpected field \`shape\`, remove it or turn on the feature gate StorageCapacityScoring`,
    );
    expect(await args("VolumeBinding", "{bindTimeoutSeconds: -1}")).toMatch(`${at}.bindTimeoutSeconds: Invalid value: -1`);
    expect(await args("VolumeBinding", "{kind: NodeAffinityArgs}")).toBe(
      "decoding .profiles[0].pluginConfig[0]: args for plugin VolumeBinding were not of type " +
        "VolumeBindingArgs.kubescheduler.config.k8s.io, got NodeAffinityArgs.kubescheduler.config.k8s.io",
    );
    expect(await args("EBSLimits", "{}")).toMatch("was invalid in version");
  });

  it("checks extenders", async () => {
    const managed = "managedResources: [{name: cpu}]";
    expect(await problem(`extenders: [{urlPrefix: 'http://a', prioritizeVerb: p, ${managed}}]`)).toBe(
      "[extenders[0].weight: Invalid value: 0: must have a positive weight applied to it, " +
        'extenders[0].managedResources[0].name: Invalid value: "cpu": is an invalid extended resource name]',
    );
    expect(await problem("extenders: [{urlPrefix: 'http://a', bindVerb: b}, {urlPrefix: 'http://b', bindVerb: b}]")).toBe(
      'extenders: Invalid value: "found 2 extenders implementing bind": only one extender can implement bind',
    );
    expect(await problem("extenders: [{urlPrefix: 'a:b'}]")).toMatch("extenders[0].urlPrefix: Invalid value");
  });
});

describe("plugins of a profile", () => {
  it("leaves out what is disabled, at one point or everywhere", async () => {
    const { plugins } = await onlyProfile(
      "profiles: [{plugins: {multiPoint: {disabled: [{name: ImageLocality}]}, score: {disabled: [{name: NodeAffinity}]}}}]",
    );
    expect(plugins.points.score).not.toContain("ImageLocality");
    expect(plugins.points.score).not.toContain("NodeAffinity");
    expect(plugins.points.filter).toContain("NodeAffinity");
  });

  it("lets a point's own weight go before multiPoint's", async () => {
    const { plugins } = await onlyProfile(`
profiles:
  - plugins:
      multiPoint: {enabled: [{name: NodeAffinity, weight: 7}, {name: TaintToleration, weight: 8}]}
      score: {enabled: [{name: NodeAffinity, weight: 9}, {name: ImageLocality, weight: 0}]}
`);
    expect(plugins.scoreWeights).toMatchObject({ NodeAffinity: 9, TaintToleration: 8, ImageLocality: 1 });
  });

  it("puts what a point re-configures first, then multiPoint, then what only the point names", async () => {
    const { plugins } = await onlyProfile(`
profiles:
  - plugins:
      multiPoint: {enabled: [{name: PrioritySort}, {name: NodeName}, {name: NodePorts}, {name: NodeAffinity}, {name: DefaultBinder}], disabled: [{name: "*"}]}
      filter: {enabled: [{name: TaintToleration}, {name: NodeAffinity}]}
`);
    expect(plugins.points.filter).toEqual(["NodeAffinity", "NodeName", "NodePorts", "TaintToleration"]);
    expect(plugins.points.score).toEqual(["NodeAffinity"]);
  });

  it("runs only what a point names where all else is disabled there", async () => {
    const { plugins } = await onlyProfile("profiles: [{plugins: {score: {disabled: [{name: '*'}], enabled: [{name: ImageLocality}]}}}]");
    expect(plugins.points.score).toEqual(["ImageLocality"]);
  });

  it("refuses plugins that do not exist, cannot do what is asked, or are named twice", async () => {
    const initializing = "initializing profiles: creating profile for scheduler name default-scheduler: ";
    const score = (text: string) => problem(`profiles: [{plugins: {score: {enabled: ${text}}}}]`);
    expect(await score("[{name: Fancy}]")).toBe(`${initializing}ScorePlugin "Fancy" does not exist`);
    expect(await problem("profiles: [{plugins: {multiPoint: {enabled: [{name: Fancy}]}}}]")).toBe(
      `${initializing}PreFilterPlugin "Fancy" does not exist`,
    );
    expect(await score("[{name: NodeName}]")).toBe(`${initializing}plugin "NodeName" does not extend ScorePlugin plugin`);
    expect(await score("[{name: ImageLocality}, {name: ImageLocality}]")).toBe(
      `${initializing}plugin "ImageLocality" already registered as "ScorePlugin"`,
    );
    expect(await problem("profiles: [{plugins: {multiPoint: {enabled: [{name: ImageLocality}, {name: ImageLocality}]}}}]")).toBe(
      `${initializing}plugin "ImageLocality" already registered as "ScorePlugin"`,
    );
    expect(await score("[{name: ImageLocality, weight: -5}]")).toBe(
      `${initializing}score plugins: total score of Score plugins could overflow`,
    );
    expect(await problem("profiles: [{plugins: {queueSort: {disabled: [{name: '*'}]}}}]")).toBe(
      `${initializing}only one queue sort plugin required for profile with scheduler name "default-scheduler", but got 0`,
    );
    expect(await problem("profiles: [{plugins: {bind: {disabled: [{name: '*'}]}}}]")).toBe(
      `${initializing}at least one bind plugin is needed for profile with scheduler name "default-scheduler"`,
    );
  });

  it("lets all profiles sort the queue alike", async () => {
    const second = "{schedulerName: b, plugins: {queueSort: {enabled: [{name: PrioritySort}]}}}";
    expect(await problem(`profiles: [{schedulerName: a}, ${second}]`)).toMatch("profiles[1].plugins.queueSort: Invalid value");
  });

  it("does not count resources that an extender manages in its stead", async () => {
    const { args } = await onlyProfile("extenders: [{urlPrefix: 'http://a', managedResources: [{name: a.b/c, ignoredByScheduler: true}]}]");
    expect(args.NodeResourcesFit.ignoredResources).toEqual(["a.b/c"]);
  });
});
