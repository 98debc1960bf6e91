// What a configuration says of an HTTP extender, read strictly and checked as upstream does.
import type { ConfigFields } from "../../api/encode/config-fields.ts";
import { type FieldError, invalidValue } from "../../api/meta/field-error.ts";
import { isQualifiedName } from "../../api/meta/names.ts";
import { isExtendedResource } from "../../api/validation/resource-names.ts";
import { addProblems } from "../../api/validation/rules.ts";

export interface ExtenderTls {
  /** Believes any certificate. */
  readonly insecure: boolean;
  readonly serverName?: string;
  /** Paths of PEM files; the data goes before them. */
  readonly certFile?: string;
  readonly keyFile?: string;
  readonly caFile?: string;
  /** PEM in base64. */
  readonly certData?: string;
  readonly keyData?: string;
  readonly caData?: string;
}

export interface ExtenderSettings {
  readonly urlPrefix: string;
  /** Verbs are the last part of the URL; "" where the extender does not do it. */
  readonly filterVerb: string;
  readonly prioritizeVerb: string;
  readonly preemptVerb: string;
  readonly bindVerb: string;
  readonly weight: number;
  readonly enableHttps: boolean;
  readonly tls: ExtenderTls | undefined;
  readonly timeoutMs: number;
  /** Names of nodes are sent instead of nodes. */
  readonly nodeCacheCapable: boolean;
  /** Empty: asked about every pod. */
  readonly managedResources: readonly { readonly name: string; readonly ignoredByScheduler: boolean }[];
  readonly ignorable: boolean;
}

const defaultTimeoutMs = 5_000;

export function readExtender(fields: ConfigFields): ExtenderSettings {
  const tls = fields.object("tlsConfig");
  const settings = {
    urlPrefix: fields.text("urlPrefix") ?? "",
    filterVerb: fields.text("filterVerb") ?? "",
    prioritizeVerb: fields.text("prioritizeVerb") ?? "",
    preemptVerb: fields.text("preemptVerb") ?? "",
    bindVerb: fields.text("bindVerb") ?? "",
    weight: fields.integer("weight") ?? 0,
    enableHttps: fields.boolean("enableHTTPS") ?? false,
    tls: tls && readTls(tls),
    timeoutMs: fields.durationMs("httpTimeout") || defaultTimeoutMs,
    nodeCacheCapable: fields.boolean("nodeCacheCapable") ?? false,
    managedResources: fields.objects("managedResources").map(readManagedResource),
    ignorable: fields.boolean("ignorable") ?? false,
  };
  fields.end();
  return settings;
}

function readManagedResource(fields: ConfigFields): ExtenderSettings["managedResources"][number] {
  const resource = { name: fields.text("name") ?? "", ignoredByScheduler: fields.boolean("ignoredByScheduler") ?? false };
  fields.end();
  return resource;
}

const tlsTexts = ["serverName", "certFile", "keyFile", "caFile", "certData", "keyData", "caData"] as const;

function readTls(fields: ConfigFields): ExtenderTls {
  const texts: Partial<Record<(typeof tlsTexts)[number], string>> = {};
  for (const name of tlsTexts) {
    const value = fields.text(name);
    if (value) texts[name] = value;
  }
  const tls = { insecure: fields.boolean("insecure") ?? false, ...texts };
  fields.end();
  return tls;
}

export function validateExtenders(errors: FieldError[], path: string, extenders: readonly ExtenderSettings[]): void {
  const managed = new Set<string>();
  for (const [i, { prioritizeVerb, weight, urlPrefix, managedResources }] of extenders.entries()) {
    const at = `${path}[${i}]`;
    if (!/^https?:$/.test(protocolOf(urlPrefix))) errors.push(invalidValue(`${at}.urlPrefix`, urlPrefix, "must be an http or https URL"));
    if (prioritizeVerb !== "" && weight <= 0)
      errors.push(invalidValue(`${at}.weight`, weight, "must have a positive weight applied to it"));
    for (const [j, { name }] of managedResources.entries()) {
      const field = `${at}.managedResources[${j}].name`;
      const problems = isQualifiedName(name);
      addProblems(errors, field, name, problems);
      if (problems.length === 0 && !isExtendedResource(name))
        errors.push(invalidValue(field, name, "is an invalid extended resource name"));
      if (managed.has(name)) errors.push(invalidValue(field, name, "duplicate extender managed resource name"));
      managed.add(name);
    }
  }
  const binders = extenders.filter(({ bindVerb }) => bindVerb !== "").length;
  if (binders > 1) errors.push(invalidValue(path, `found ${binders} extenders implementing bind`, "only one extender can implement bind"));
}

const protocolOf = (url: string): string => (URL.canParse(url) ? new URL(url).protocol : "");
