// The configuration of PodSecurity (pod-security.admission.config.k8s.io): the levels of namespaces that say nothing, and who and
// what is exempt.

import type { ConfigFields } from "../../api/encode/config-fields.ts";
import { isDNS1123Label, isDNS1123Subdomain } from "../../api/meta/names.ts";
import type { PodSecuritySettings } from "./pod-security.ts";
import { isPodSecurityLevel, type LevelVersion, levelProblem, parsePodSecurityVersion, versionProblem } from "./pod-security-policy.ts";

const group = "pod-security.admission.config.k8s.io";

/** Throws ConfigError. */
export function podSecuritySettings(root: ConfigFields): PodSecuritySettings {
  root.kindOf("PodSecurityConfiguration", [`${group}/v1`, `${group}/v1beta1`, `${group}/v1alpha1`]);
  const defaults = root.object("defaults");
  const read = (mode: "enforce" | "audit" | "warn"): LevelVersion => {
    const level = defaults?.text(mode) || "privileged";
    const parsed = parsePodSecurityVersion(defaults?.text(`${mode}-version`) || "latest");
    if (defaults && !isPodSecurityLevel(level)) throw defaults.problem(mode, levelProblem);
    if (defaults && !parsed) throw defaults.problem(`${mode}-version`, versionProblem);
    return { level: isPodSecurityLevel(level) ? level : "privileged", version: parsed?.version };
  };
  const levels = { enforce: read("enforce"), audit: read("audit"), warn: read("warn") };
  defaults?.end();
  const exemptions = root.object("exemptions");
  const settings: PodSecuritySettings = {
    defaults: levels,
    exemptions: {
      usernames: names(exemptions, "usernames", (name) => (name === "" ? ["username must not be empty"] : [])),
      namespaces: names(exemptions, "namespaces", isDNS1123Label),
      runtimeClasses: names(exemptions, "runtimeClasses", isDNS1123Subdomain),
    },
  };
  exemptions?.end();
  root.end();
  return settings;
}

function names(fields: ConfigFields | undefined, list: string, check: (name: string) => readonly string[]): ReadonlySet<string> {
  const seen = new Set<string>();
  for (const [i, name] of (fields?.texts(list) ?? []).entries()) {
    const problems = check(name);
    if (problems.length > 0) throw fields?.problem(`${list}[${i}]`, problems.join(", "));
    if (seen.has(name)) throw fields?.problem(`${list}[${i}]`, `Duplicate value: ${JSON.stringify(name)}`);
    seen.add(name);
  }
  return seen;
}
