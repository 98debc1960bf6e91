import { describe, expect, it } from "vitest";
import { optionalResources } from "../api/optional-resources.generated.ts";
import { builtInResources } from "../api/resources.generated.ts";
import { FlagError } from "../base/flags.ts";
import { checkRuntimeConfig, isServed, type RuntimeConfig, runtimeConfigFlag } from "./runtime-config.ts";

const parse = (...flags: readonly string[]): RuntimeConfig =>
  flags.reduce<RuntimeConfig | undefined>((previous, flag) => runtimeConfigFlag.parse(flag, previous), undefined) ?? new Map();
const known = [...builtInResources, ...optionalResources];
const check = (flag: string, priorityAndFairness = true): void => checkRuntimeConfig(parse(flag), { known, priorityAndFairness });

describe("checkRuntimeConfig()", () => {
  it.each([
    ["foo/v1=true", "unknown api groups foo/v1"],
    ["foo/v1=true,bar/v2=false", "unknown api groups bar/v2,foo/v1"],
    ["apps/v9=true", "group version apps/v9 that has not been registered"],
    ["api/all=maybe", "invalid value api/all=maybe"],
    ["apps/v1=maybe", 'invalid value of apps/v1: maybe, err: strconv.ParseBool: parsing "maybe": invalid syntax'],
    [
      "apps/v1/Deployments=true",
      'invalid key apps/v1/Deployments: group/version/resource and resource is always lowercase plural, not "Deployments"',
    ],
    ["a/b/c/d=true", "runtime-config invalid key a/b/c/d"],
    ["apps/v1=true,=x", "runtime-config invalid key "],
    [
      "api/all=false",
      "[--runtime-config=api/all=false conflicts with --enable-priority-and-fairness=true, invalid runtime-config with only api/all=false]",
    ],
  ])("refuses %s", (flag, message) => {
    expect(() => check(flag)).toThrow(new FlagError(message));
  });

  it.each(["v1=true", "api/v1/pods=true", "apps/v1beta1=true", "extensions/v1beta1", "api/beta=true", "api/legacy=false"])(
    "takes %s",
    (flag) => {
      expect(() => check(flag)).not.toThrow();
    },
  );

  it("lets flow control's own version go where nothing queues by it", () => {
    expect(() => check("flowcontrol.apiserver.k8s.io/v1=false", false)).not.toThrow();
    expect(() => check("flowcontrol.apiserver.k8s.io/v1=false")).toThrow("conflicts with --enable-priority-and-fairness=true");
  });
});

describe("isServed()", () => {
  const of = (config: RuntimeConfig, name: string, byDefault: boolean): boolean => {
    const [group = "", version = "", resource = ""] = name.split(" ");
    return isServed(config, { group, version, resource }, byDefault);
  };

  it("says the default where nothing is said", () => {
    expect(of(parse(""), "apps v1 deployments", true)).toBe(true);
    expect(of(parse("batch/v1=false"), "apps v1 deployments", true)).toBe(true);
  });

  it("the more particular name wins, whatever the order", () => {
    const config = parse("batch/v1/jobs=true", "batch/v1=false,api/all=true");
    expect(of(config, "batch v1 jobs", false)).toBe(true);
    expect(of(config, "batch v1 cronjobs", true)).toBe(false);
    expect(of(config, "resource.k8s.io v1beta1 resourceclaims", false)).toBe(true);
  });

  it("stages are told by the version", () => {
    const config = parse("api/all=false,api/ga=true,api/beta=true");
    expect(of(config, "apps v1 deployments", true)).toBe(true);
    expect(of(config, "certificates.k8s.io v1beta1 clustertrustbundles", false)).toBe(true);
    expect(of(config, "scheduling.k8s.io v1alpha2 workloads", false)).toBe(false);
  });

  it("the core group goes by its version", () => {
    expect(of(parse("v1/pods=false"), " v1 pods", true)).toBe(false);
    expect(of(parse("api/v1=false"), " v1 pods", true)).toBe(false);
  });
});
