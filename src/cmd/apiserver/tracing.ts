// Wires traces. Nothing of it is loaded where there is no --tracing-config-file.
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import type { ApiServerSettings } from "../../apiserver/options.ts";
import { apiServerIdentity } from "../../apiserver/peers/identity-lease.ts";
import type { Handler, Stage } from "../../apiserver/request.ts";
import type { WebhookClient } from "../../apiserver/webhook/webhook-client.ts";
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { Tracer } from "../../base/tracing.ts";
import type { Store } from "../../storage/store.ts";
import { CommandError } from "../command-error.ts";

/** What of the server is traced; without a tracer everything as it comes. */
export interface Tracing extends Running {
  readonly tracer: Tracer | undefined;
  /** After authentication. */
  readonly request: Stage | undefined;
  stage(name: string, stage: Stage): Stage;
  resources(handler: Handler): Handler;
  store(store: Store, kind: string): Store;
  webhooks(client: WebhookClient): WebhookClient;
}

const nothing: Tracing = {
  tracer: undefined,
  request: undefined,
  stage: (_name, stage) => stage,
  resources: (handler) => handler,
  store: (store) => store,
  webhooks: (client) => client,
  stop: async () => undefined,
};

/** Throws CommandError for what is wrong with the file. */
export async function openTracing(
  { operations: { tracingConfigFile: file } }: ApiServerSettings,
  deps: { readonly clock: Clock; readonly logger: Logger },
): Promise<Tracing> {
  if (file === undefined) return nothing;
  const [{ parseTracingConfiguration }, { createRequestSpans }, { tracedStore, tracedWebhooks }, { startOtlpTracer }] = await Promise.all([
    import("../../apiserver/tracing/tracing-configuration.ts"),
    import("../../apiserver/tracing/request-spans.ts"),
    import("../../apiserver/tracing/traced-calls.ts"),
    import("../../rpc/otlp-tracer.ts"),
  ]);
  try {
    const { endpoint, samplingRatePerMillion: perMillion } = await parseTracingConfiguration(await readFile(file, "utf8"));
    const resource = { "service.name": "apiserver", "service.instance.id": apiServerIdentity(hostname()) };
    const tracer = startOtlpTracer(deps, { ...(endpoint ? { endpoint } : {}), resource, scope: "k8s.io/apiserver", perMillion });
    const spans = createRequestSpans(tracer);
    return {
      tracer,
      ...spans,
      store: (store, kind) => tracedStore(store, tracer, kind),
      webhooks: (client) => tracedWebhooks(client, tracer),
      stop: () => tracer.stop(),
    };
  } catch (error) {
    throw new CommandError(`--tracing-config-file: ${errorText(error)}`);
  }
}
