// Defaults of custom resource definitions and API services.
import type { CustomResourceConversion, CustomResourceDefinition } from "../types/apiextensions-v1.ts";
import type { APIService } from "../types/apiregistration-v1.ts";
import { change, fill } from "./fill.ts";

const httpsPort = 443;

/** A webhook that says nothing is none. */
function withoutEmptyWebhook(conversion: CustomResourceConversion): CustomResourceConversion {
  const { webhook, ...rest } = conversion;
  return !webhook || webhook.clientConfig || (webhook.conversionReviewVersions ?? []).length > 0 ? conversion : rest;
}

/** Names that follow from the kind, no conversion between versions, and the version that objects are stored in. */
export function defaultCustomResourceDefinition(definition: CustomResourceDefinition): CustomResourceDefinition {
  const described = change(definition, "spec", (given) => {
    let spec = fill(given, { conversion: { strategy: "None" } });
    spec = change(spec, "conversion", (conversion) =>
      change(withoutEmptyWebhook(conversion), "webhook", (webhook) =>
        change(webhook, "clientConfig", (config) => change(config, "service", (service) => fill(service, { port: httpsPort }))),
      ),
    );
    return change(spec, "names", (names) => {
      const { kind = "" } = names;
      const singular = names.singular || kind.toLowerCase();
      const listKind = names.listKind || (kind === "" ? "" : `${kind}List`);
      if (singular === (names.singular ?? "") && listKind === (names.listKind ?? "")) return names;
      return { ...names, ...(singular === "" ? {} : { singular }), ...(listKind === "" ? {} : { listKind }) };
    });
  });
  const { status, spec } = described;
  if ((status?.storedVersions ?? []).length > 0) return described;
  const stored = (spec?.versions ?? []).find((version) => version.storage)?.name;
  return stored === undefined ? described : { ...described, status: { ...status, storedVersions: [stored] } };
}

export const defaultApiService = (service: APIService): APIService =>
  change(service, "spec", (spec) => change(spec, "service", (reference) => fill(reference, { port: httpsPort })));
