// CustomResourceDefinitions as v1beta1 had them. Nobody is served that version any more, but upstream's servers store every
// definition in it: what versions have in common stands once, beside the list of versions.
import type { KubernetesObject } from "../meta/object.ts";
import type {
  CustomResourceColumnDefinition,
  CustomResourceConversion,
  CustomResourceDefinition,
  CustomResourceDefinitionSpec,
  CustomResourceDefinitionVersion,
  CustomResourceValidation,
  WebhookClientConfig,
} from "../types/apiextensions-v1.ts";

type ColumnV1beta1 = Omit<CustomResourceColumnDefinition, "jsonPath"> & { readonly JSONPath: string };

type SharedParts = Pick<CustomResourceDefinitionVersion, "subresources" | "selectableFields"> & {
  readonly additionalPrinterColumns?: readonly ColumnV1beta1[];
};

interface ConversionV1beta1 {
  readonly strategy: string;
  readonly webhookClientConfig?: WebhookClientConfig;
  readonly conversionReviewVersions?: readonly string[];
}

interface SpecV1beta1 extends SharedParts, Omit<CustomResourceDefinitionSpec, "scope" | "versions" | "conversion"> {
  readonly scope?: string;
  readonly version?: string;
  readonly validation?: CustomResourceValidation;
  readonly versions?: readonly (Omit<CustomResourceDefinitionVersion, "additionalPrinterColumns"> & SharedParts)[];
  readonly conversion?: ConversionV1beta1;
}

/** A stored definition of v1beta1 as one of v1, with the defaults that v1beta1 alone had. Its texts and schemas are shared. */
export function definitionFromV1beta1(stored: KubernetesObject): CustomResourceDefinition {
  const { spec, ...rest } = stored as KubernetesObject & { readonly spec: SpecV1beta1 };
  return { ...rest, apiVersion: "apiextensions.k8s.io/v1", kind: "CustomResourceDefinition", spec: specFromV1beta1(spec) };
}

function specFromV1beta1(spec: SpecV1beta1): CustomResourceDefinitionSpec {
  const { version, versions, scope, conversion, preserveUnknownFields = true, ...parts } = spec;
  const { validation, subresources, additionalPrinterColumns, selectableFields, ...rest } = parts;
  const shared = {
    ...(validation ? { schema: validation } : {}),
    ...(subresources ? { subresources } : {}),
    ...(additionalPrinterColumns ? { additionalPrinterColumns: additionalPrinterColumns.map(columnFromV1beta1) } : {}),
    ...(selectableFields ? { selectableFields } : {}),
  };
  const listed = versions?.length ? versions : version === undefined ? [] : [{ name: version, served: true, storage: true }];
  return {
    ...rest,
    ...(preserveUnknownFields ? { preserveUnknownFields } : {}),
    ...(conversion ? { conversion: conversionFromV1beta1(conversion) } : {}),
    scope: scope || "Namespaced",
    versions: listed.map(({ additionalPrinterColumns: columns, ...own }: NonNullable<SpecV1beta1["versions"]>[number]) => ({
      ...own,
      ...(columns ? { additionalPrinterColumns: columns.map(columnFromV1beta1) } : {}),
      ...shared,
    })),
  };
}

const columnFromV1beta1 = ({ JSONPath, ...rest }: ColumnV1beta1): CustomResourceColumnDefinition => ({ ...rest, jsonPath: JSONPath });

function conversionFromV1beta1(conversion: ConversionV1beta1): CustomResourceConversion {
  const { strategy, webhookClientConfig, conversionReviewVersions } = conversion;
  const reviewed = strategy === "Webhook" && !conversionReviewVersions?.length ? ["v1beta1"] : conversionReviewVersions;
  if (!webhookClientConfig && !reviewed) return { strategy };
  const clientConfig = webhookClientConfig ? { clientConfig: webhookClientConfig } : {};
  return { strategy, webhook: { ...clientConfig, conversionReviewVersions: reviewed ?? [] } };
}
