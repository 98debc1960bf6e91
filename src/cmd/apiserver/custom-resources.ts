// Wires the serving of custom resources: the compiler of schemas, and the client of conversion webhooks, which is loaded when
// the first object has to be converted.
import { compileSchemaRules } from "../../api/cel/validate-rules.ts";
import { compileSchema } from "../../api/structural/compile-schema.ts";
import { createConversionMetrics } from "../../apiserver/crd/conversion-metrics.ts";
import { type CustomResourcesDeps, startCustomResources } from "../../apiserver/crd/custom-resources.ts";
import type { EgressSelector } from "../../apiserver/egress/egress-selector.ts";
import { createServiceResolver, servicesKnown } from "../../apiserver/webhook/service-resolver.ts";
import type { WebhookClient } from "../../apiserver/webhook/webhook-client.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { Tracing } from "./tracing.ts";

type Given = Omit<CustomResourcesDeps, "compile" | "conversion"> & { readonly metrics: MetricsRegistry };

interface Calls {
  readonly egress: EgressSelector;
  readonly tracing: Pick<Tracing, "tracer" | "webhooks">;
}

export function serveCustomResources({ metrics, ...deps }: Given, { egress, tracing }: Calls): Running {
  const { stores, clock } = deps;
  let loading: Promise<WebhookClient> | undefined;
  const load = async (): Promise<WebhookClient> => {
    const { createWebhookClient } = await import("../../apiserver/webhook/create-webhook-client.ts");
    await servicesKnown(stores.reader);
    return tracing.webhooks(createWebhookClient({ clock }, { egress }));
  };
  const conversion = {
    webhooks: () => (loading ??= load()),
    resolve: createServiceResolver({ reader: stores.reader, clock }),
    metrics: createConversionMetrics(metrics, clock),
    tracer: tracing.tracer,
  };
  const running = startCustomResources({
    ...deps,
    compile: (schema) => compileSchema(schema, { compileRules: compileSchemaRules }),
    conversion,
  });
  return {
    async stop() {
      await running.stop();
      await (await loading)?.stop();
    },
  };
}
