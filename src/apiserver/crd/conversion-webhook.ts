// Conversion of custom objects between versions by the webhook of their definition (spec.conversion.strategy: Webhook). Many
// objects go in few calls, each of a bounded size and with a deadline. Nothing is ever served unconverted: what fails is an
// error of the request.
import { randomUUID } from "node:crypto";
import { bytesOfBase64 } from "../../api/meta/base64.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { CustomResourceDefinition } from "../../api/types/apiextensions-v1.ts";
import type { Tracer } from "../../base/tracing.ts";
import type { ServiceResolver, WebhookClient, WebhookClientConfig } from "../webhook/webhook-client.ts";
import { WebhookError } from "../webhook/webhook-error.ts";
import { webhookTarget } from "../webhook/webhook-target.ts";
import type { ConversionMetrics } from "./conversion-metrics.ts";
import {
  ConversionError,
  type ConversionFailure,
  type ConversionRequest,
  conversionReview,
  convertedObjects,
  type ReviewVersion,
  reviewVersions,
  subjectOf,
} from "./convert-objects.ts";

/** Converts objects of any version of a definition; the result is in the order of what was given. Throws ConversionError. */
export type ObjectConverter = (objects: readonly KubernetesObject[], apiVersion: string) => Promise<readonly KubernetesObject[]>;

export interface ConversionWebhookDeps {
  /** Asked for at the first conversion; resolves when services can be resolved too. */
  readonly webhooks: () => Promise<WebhookClient>;
  readonly resolve: ServiceResolver;
  /** Where calls are counted. */
  readonly metrics?: ConversionMetrics;
  /** Absent where nothing is traced. */
  readonly tracer?: Tracer | undefined;
}

/** As long as a request may take by itself. */
const timeoutMs = 30_000;
/** What goes into one call: answers are bounded too, and conversion may make objects larger. */
const maxObjects = 500;
const maxBytes = 1024 * 1024;

/** Calls in progress for one reader. */
const callsAtOnce = 4;

export function createWebhookConverter({ metadata, spec }: CustomResourceDefinition, deps: ConversionWebhookDeps): ObjectConverter {
  return async (objects, apiVersion) => {
    const converted: KubernetesObject[] = [...objects];
    const batches = batchesOf(objects, apiVersion)[Symbol.iterator]();
    const work = async (): Promise<void> => {
      for (const batch of batches) {
        const results = await convertBatch(spec.conversion, deps, {
          name: metadata.name,
          objects: batch.map(({ object }) => object),
          apiVersion,
        });
        for (const [i, { index }] of batch.entries()) converted[index] = results[i] as KubernetesObject; // as many as were asked for
      }
    };
    await Promise.all(Array.from({ length: callsAtOnce }, work));
    return converted;
  };
}

interface Placed {
  readonly index: number;
  readonly object: KubernetesObject;
}

/** Those that are of another version, in portions. */
function* batchesOf(objects: readonly KubernetesObject[], apiVersion: string): Generator<readonly Placed[], void, void> {
  let batch: Placed[] = [];
  let bytes = 0;
  for (const [index, object] of objects.entries()) {
    if (object.apiVersion === apiVersion) continue;
    batch.push({ index, object });
    bytes += JSON.stringify(object).length;
    if (batch.length < maxObjects && bytes < maxBytes) continue;
    yield batch;
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) yield batch;
}

interface Batch {
  /** Of the definition. */
  readonly name: string;
  readonly objects: readonly KubernetesObject[];
  readonly apiVersion: string;
}

async function convertBatch(
  conversion: CustomResourceDefinition["spec"]["conversion"],
  { webhooks, resolve, metrics, tracer }: ConversionWebhookDeps,
  { name, objects, apiVersion }: Batch,
): Promise<readonly KubernetesObject[]> {
  const { clientConfig, conversionReviewVersions = [] } = conversion?.webhook ?? {};
  const reviewVersion = conversionReviewVersions.find(isReviewVersion);
  if (!reviewVersion) throw new ConversionError("no supported conversion review versions");
  const request: ConversionRequest = { reviewVersion, uid: randomUUID(), desiredApiVersion: apiVersion, objects };
  const observed = metrics?.begin({ name, from: versionOf(objects[0]?.apiVersion ?? ""), to: versionOf(apiVersion) });
  let problem: ConversionFailure | undefined = "call";
  try {
    const answer = await call();
    problem = undefined;
    return convertedObjects(request, answer);
  } catch (error) {
    if (error instanceof ConversionError) problem ??= error.failure;
    throw error;
  } finally {
    observed?.(problem);
  }

  async function call(): Promise<unknown> {
    try {
      const client = await webhooks();
      const target = webhookTarget(withoutBlankBundle(clientConfig ?? {}), resolve, "timeout=30s");
      const call = (): Promise<unknown> => client.post(target, { body: conversionReview(request), timeoutMs });
      if (!tracer) return await call();
      const attributes = {
        ...{ "custom-resource-definition": name, "desired-api-version": apiVersion },
        ...{ "object-count": objects.length, UID: request.uid },
      };
      return await tracer.within("Call conversion webhook", { attributes }, call);
    } catch (error) {
      if (error instanceof WebhookError) throw new ConversionError(`${subjectOf(request)} failed: ${error.message}`);
      throw error;
    }
  }
}

/** Of "example.com/v1" the version. */
const versionOf = (apiVersion: string): string => apiVersion.slice(apiVersion.indexOf("/") + 1);

/** A bundle of nothing but white space counts as none. */
function withoutBlankBundle({ caBundle, ...config }: WebhookClientConfig): WebhookClientConfig {
  const isBlank = caBundle === undefined || new TextDecoder().decode(bytesOfBase64(caBundle)).trim() === "";
  return isBlank ? config : { ...config, caBundle };
}

const isReviewVersion = (version: string): version is ReviewVersion => (reviewVersions as readonly string[]).includes(version);
