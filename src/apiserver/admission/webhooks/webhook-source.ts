// The configured webhooks, compiled: read from the watch cache, made anew with the first request after a change, in
// upstream's order (by name of the configuration, then as they stand in it). While none is configured a request costs one
// look at an empty list.
import type { KubernetesObject } from "../../../api/meta/object.ts";
import { everyLabels, type LabelMatcher, labelMatcher, SelectorError } from "../../../api/meta/selectors.ts";
import type { MutatingWebhook, ValidatingWebhook } from "../../../api/types/admissionregistration-v1.ts";
import type { Informer } from "../../../client/informer.ts";
import type { WebhookClientConfig } from "../../webhook/webhook-client.ts";
import type { Manifests } from "../manifests/followed-manifests.ts";
import type { CompileMatchConditions, MatchConditions } from "./match-conditions.ts";
import { compileRule, type RuleMatcher } from "./webhook-rules.ts";

export type ReviewVersion = "v1" | "v1beta1";

export interface CompiledWebhook {
  /** Of one webhook, as long as its configuration does not change. */
  readonly id: string;
  readonly configuration: string;
  readonly name: string;
  readonly clientConfig: WebhookClientConfig;
  readonly timeoutSeconds: number;
  /** Failed calls are as if there were no webhook. */
  readonly ignoresFailures: boolean;
  readonly isReinvocable: boolean;
  readonly takesDryRun: boolean;
  /** The first that both sides know. */
  readonly reviewVersion: ReviewVersion | undefined;
  readonly rules: readonly RuleMatcher[];
  /** Rules are held against other versions of the same objects too. */
  readonly takesEquivalents: boolean;
  readonly namespaceSelector: LabelMatcher;
  readonly objectSelector: LabelMatcher;
  /** Selectors from before they were validated may be malformed: requests that the rules match are then refused. */
  readonly selectorProblem: string | undefined;
  readonly conditions: MatchConditions | undefined;
}

export interface WebhookConfiguration extends KubernetesObject {
  readonly webhooks?: readonly (ValidatingWebhook & Pick<MutatingWebhook, "reinvocationPolicy">)[];
}

const nothing: readonly CompiledWebhook[] = [];

/** Those of files, if there are any. */
export type ConfigurationManifests = Manifests<{ readonly configurations: readonly WebhookConfiguration[] }>;

export class WebhookSource {
  readonly #informerOf: () => Informer<WebhookConfiguration>;
  readonly #compile: CompileMatchConditions;
  #informer: Informer<WebhookConfiguration> | undefined;
  #hooks: readonly CompiledWebhook[] = nothing;
  #ofFiles: readonly CompiledWebhook[] = nothing;
  #isStale = true;

  constructor(informerOf: () => Informer<WebhookConfiguration>, compile: CompileMatchConditions, manifests?: ConfigurationManifests) {
    this.#informerOf = informerOf;
    this.#compile = compile;
    const read = (): void => {
      this.#ofFiles = compileAll(manifests?.current.configurations ?? [], compile);
      this.#isStale = true;
    };
    if (manifests) read();
    manifests?.onChange(read);
  }

  /** Those of files: they see also what configures admission, which they cannot keep anyone from repairing. */
  get ofFiles(): readonly CompiledWebhook[] {
    return this.#ofFiles;
  }

  /** False only where it is certain that there are no webhooks. */
  get mayHaveHooks(): boolean {
    return this.#isStale || this.#hooks.length > 0;
  }

  /** All of them, those of files first, once the configurations have been read. */
  async hooks(signal: AbortSignal): Promise<readonly CompiledWebhook[]> {
    const informer = this.#followed();
    if (!informer.hasSynced) await informer.synced(signal);
    if (this.#isStale) {
      this.#isStale = false;
      this.#hooks = [...this.#ofFiles, ...compileAll([...informer.list()], this.#compile)];
    }
    return this.#hooks;
  }

  #followed(): Informer<WebhookConfiguration> {
    if (this.#informer) return this.#informer;
    const informer = this.#informerOf();
    const onChange = (): void => {
      this.#isStale = true;
    };
    informer.addHandler({ onAdd: onChange, onUpdate: onChange, onDelete: onChange });
    this.#informer = informer;
    return informer;
  }
}

function compileAll(configurations: readonly WebhookConfiguration[], compile: CompileMatchConditions): readonly CompiledWebhook[] {
  const sorted = configurations.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  return sorted.flatMap((configuration) => {
    const { name, uid, generation = 0 } = configuration.metadata;
    const id = uid ? `${uid}/${generation}` : `manifest/${name}`;
    return (configuration.webhooks ?? []).map((webhook, index) =>
      compileWebhook(webhook, { id: `${id}/${index}`, configuration: name }, compile),
    );
  });
}

type Webhook = NonNullable<WebhookConfiguration["webhooks"]>[number];

function compileWebhook(
  webhook: Webhook,
  named: Pick<CompiledWebhook, "id" | "configuration">,
  compile: CompileMatchConditions,
): CompiledWebhook {
  const conditions = webhook.matchConditions ?? [];
  return {
    ...named,
    name: webhook.name,
    clientConfig: webhook.clientConfig as WebhookClientConfig,
    timeoutSeconds: webhook.timeoutSeconds ?? 10,
    ignoresFailures: webhook.failurePolicy === "Ignore",
    isReinvocable: webhook.reinvocationPolicy === "IfNeeded",
    takesDryRun: webhook.sideEffects === "None" || webhook.sideEffects === "NoneOnDryRun",
    reviewVersion: (webhook.admissionReviewVersions ?? []).find((v): v is ReviewVersion => v === "v1" || v === "v1beta1"),
    rules: (webhook.rules ?? []).map(compileRule),
    takesEquivalents: webhook.matchPolicy !== "Exact",
    ...selectorsOf(webhook),
    conditions: conditions.length === 0 ? undefined : compile(conditions),
  };
}

function selectorsOf(webhook: Webhook): Pick<CompiledWebhook, "namespaceSelector" | "objectSelector" | "selectorProblem"> {
  try {
    return {
      namespaceSelector: labelMatcher(webhook.namespaceSelector ?? {}),
      objectSelector: labelMatcher(webhook.objectSelector ?? {}),
      selectorProblem: undefined,
    };
  } catch (error) {
    if (error instanceof SelectorError)
      return { namespaceSelector: everyLabels, objectSelector: everyLabels, selectorProblem: error.message };
    throw error;
  }
}
