// Wires authorization: the chain of authorizers by the flags, or by a configuration file that is followed as it changes.

import { readFile } from "node:fs/promises";
import type { AdmissionReader } from "../../apiserver/admission/admission.ts";
import type { AuthorizerConfig, AuthorizerType, WebhookConfig } from "../../apiserver/authz/authorization-config.ts";
import {
  type AuthorizationWebhookMetrics,
  createAuthorizationWebhookMetrics,
  createDecisionMetrics,
} from "../../apiserver/authz/authorization-metrics.ts";
import type { Authorizer } from "../../apiserver/authz/authorizer.ts";
import { countedAuthorizer, createAuthorizer, createBuiltInAuthorizer } from "../../apiserver/authz/create-authorizer.ts";
import { gatedRoles } from "../../apiserver/authz/gated-roles.ts";
import { contentHash, createReloadMetrics } from "../../apiserver/configuration/reload-metrics.ts";
import type { EgressSelector } from "../../apiserver/egress/egress-selector.ts";
import type { ApiServerSettings } from "../../apiserver/options.ts";
import type { WebhookClient } from "../../apiserver/webhook/webhook-client.ts";
import type { Clock } from "../../base/clock.ts";
import { followFiles } from "../../base/followed-files.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import { CommandError } from "../command-error.ts";

export interface AuthorizationDeps {
  /** How webhooks are reached, where not directly. */
  readonly egress?: EgressSelector;
  readonly reader: AdmissionReader;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
}

export interface Authorization extends Running {
  readonly authorizer: Authorizer;
}

/** Reads the files of the flags. Throws CommandError. */
export async function openAuthorization(settings: ApiServerSettings, deps: AuthorizationDeps): Promise<Authorization> {
  const { configFile } = settings.authorization;
  const chain = new AuthorizerChain(settings, deps);
  if (configFile === undefined) {
    const { modes } = settings.authorization;
    return { authorizer: await chain.create(modes.map((type) => configOf(type, settings))), stop: () => chain.stop() };
  }
  const forFlag = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw error instanceof CommandError ? error : new CommandError(`--authorization-config: ${errorText(error)}`);
    }
  };
  const text = await forFlag(() => readFile(configFile, "utf8"));
  const configs = await forFlag(() => parse(text, []));
  let current = await forFlag(() => chain.create(configs));
  const stack = new StopStack();
  stack.add(chain);
  const requiredTypes = configs.map((config) => config.type);
  let loaded = configs;
  const reloads = createReloadMetrics(deps, "authorization");
  reloads.started(contentHash(text));
  stack.add(
    followFiles([{ path: configFile, contents: text }], {
      clock: deps.clock,
      async changed([contents = ""]) {
        const { isSameChain } = await import("../../apiserver/authz/authorization-config.ts");
        const changed = await parse(contents, requiredTypes);
        // The same in other words: what webhooks have answered is still remembered.
        if (isSameChain(changed, loaded)) return;
        confirmEnabled(changed, requiredTypes);
        current = await chain.create(changed);
        loaded = changed;
        reloads.succeeded(contentHash(contents));
        deps.logger.info("Authorization configuration reloaded", { file: configFile });
      },
      failed(error) {
        reloads.failed();
        deps.logger.error("Authorization configuration not reloaded, the old one stays", { file: configFile, error });
      },
    }),
  );
  const authorizer: Authorizer = {
    authorize: (attributes) => current.authorize(attributes),
    rulesFor: async (user, namespace) =>
      (await current.rulesFor?.(user, namespace)) ?? { resourceRules: [], nonResourceRules: [], incomplete: true },
  };
  return { authorizer, stop: () => stack.stop() };
}

async function parse(text: string, requiredTypes: readonly AuthorizerType[]): Promise<readonly AuthorizerConfig[]> {
  const { parseAuthorizationConfig } = await import("../../apiserver/authz/authorization-config.ts");
  const { celExpressions } = await import("../../apiserver/configuration/cel-expressions.ts");
  return parseAuthorizationConfig(text, { expressions: celExpressions, requiredTypes });
}

/** Throws where a type is added that needs something which the server has only where it was started with it. */
function confirmEnabled(configs: readonly AuthorizerConfig[], types: readonly AuthorizerType[]): void {
  const added = configs.find(({ type }) => ["Node", "RBAC", "ABAC"].includes(type) && !types.includes(type));
  if (added) throw new CommandError(`authorizer type ${added.type} is not allowed if it was not enabled at initial server startup`);
}

const flagTimeoutMs = 30_000;

/** What a mode of --authorization-mode means, in the terms of the configuration file. */
function configOf(type: AuthorizerType, { authorization }: ApiServerSettings): AuthorizerConfig {
  if (type !== "Webhook") return { type, name: type.toLowerCase() };
  const { webhook } = authorization;
  if (!webhook) throw new CommandError("--authorization-mode Webhook: expected --authorization-webhook-config-file");
  const { configFile: kubeconfigFile, version, authorizedTtlMs, unauthorizedTtlMs } = webhook;
  return {
    type,
    name: "default",
    webhook: {
      kubeconfigFile,
      version,
      authorizedTtlMs,
      unauthorizedTtlMs,
      timeoutMs: flagTimeoutMs,
      failurePolicy: "NoOpinion",
      matchConditions: [],
    },
  };
}

/** Makes authorizers; those that are no webhooks are made once and stay the same. */
class AuthorizerChain implements Running {
  readonly #settings: ApiServerSettings;
  readonly #deps: AuthorizationDeps;
  readonly #fixed = new Map<AuthorizerType, Authorizer>();
  readonly #decisions: ReturnType<typeof createDecisionMetrics>;
  #client: WebhookClient | undefined;
  #metrics: AuthorizationWebhookMetrics | undefined;

  constructor(settings: ApiServerSettings, deps: AuthorizationDeps) {
    this.#settings = settings;
    this.#deps = deps;
    this.#decisions = createDecisionMetrics(deps.metrics);
  }

  /** Throws CommandError for what is wrong with the files of the flags. */
  async create(configs: readonly AuthorizerConfig[]): Promise<Authorizer> {
    const modes = await Promise.all(
      configs.map(async (config) => {
        const made = await (config.type === "Webhook" ? this.#webhook(config.name, config.webhook) : this.#fixedOne(config.type));
        return countedAuthorizer(made, this.#decisions(config.type, config.name));
      }),
    );
    return createAuthorizer({ modes, reader: this.#deps.reader });
  }

  async stop(): Promise<void> {
    await this.#client?.stop();
  }

  async #fixedOne(type: Exclude<AuthorizerType, "Webhook">): Promise<Authorizer> {
    const known = this.#fixed.get(type);
    if (known) return known;
    const made =
      type === "ABAC"
        ? await this.#abac()
        : createBuiltInAuthorizer(type, this.#deps.reader, gatedRoles(this.#settings.featureGates).nodeRules);
    this.#fixed.set(type, made);
    return made;
  }

  async #abac(): Promise<Authorizer> {
    const path = this.#settings.authorization.policyFile;
    if (path === undefined) throw new CommandError("--authorization-config: authorizer ABAC: expected --authorization-policy-file");
    const { createAbacAuthorizer } = await import("../../apiserver/authz/abac-authorizer.ts");
    try {
      return createAbacAuthorizer(await readFile(path, "utf8"), path);
    } catch (error) {
      throw new CommandError(`--authorization-policy-file: ${errorText(error)}`);
    }
  }

  async #webhook(name: string, webhook: WebhookConfig): Promise<Authorizer> {
    const { kubeconfigTarget } = await import("../../apiserver/webhook/kubeconfig-target.ts");
    const { createWebhookClient } = await import("../../apiserver/webhook/create-webhook-client.ts");
    const { createWebhookAuthorizer } = await import("../../apiserver/authz/webhook-authorizer.ts");
    const { clock, logger, egress = {} } = this.#deps;
    this.#client ??= createWebhookClient({ clock }, { egress });
    this.#metrics ??= createAuthorizationWebhookMetrics(this.#deps.metrics);
    let target: Awaited<ReturnType<typeof kubeconfigTarget>>;
    try {
      target = await kubeconfigTarget(webhook.kubeconfigFile, clock, webhook);
    } catch (error) {
      if (this.#settings.authorization.configFile !== undefined) throw error;
      throw new CommandError(`--authorization-webhook-config-file: ${errorText(error)}`);
    }
    const { version, authorizedTtlMs, unauthorizedTtlMs, timeoutMs, failurePolicy, matchConditions } = webhook;
    const decisionOnError = failurePolicy === "Deny" ? "deny" : "no-opinion";
    return createWebhookAuthorizer(
      { client: this.#client, target, clock, logger, metrics: this.#metrics },
      { name, version, authorizedTtlMs, unauthorizedTtlMs, timeoutMs, decisionOnError, matchConditions },
    );
  }
}
