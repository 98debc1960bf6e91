// Programs that give credentials for registries (the exec protocol credentialprovider.kubelet.k8s.io): asked for images that
// match, by JSON on standard input; their answers are kept as long as they say, for the image, its registry, or all images.
// Where the configuration wants it they are given a token of the pod's service account.
import { join } from "node:path";
import { serviceaccounts } from "../../api/resources.generated.ts";
import { registryOf } from "../../api/semantics/image-name.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { LruMap } from "../../base/lru-map.ts";
import type { Client } from "../../client/client.ts";
import { runCommand } from "../../linux/run-command.ts";
import { type CredentialProvider, providerDurationMs } from "./credential-provider-config.ts";
import { matchesImage } from "./match-image.ts";
import { type TrackedCredential, trackedCredential } from "./pull-credentials.ts";
import type { PullServiceAccount } from "./pull-records.ts";

export interface CredentialPluginDependencies {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A token of the pod's service account for an audience. */
  readonly token: (pod: Pod, audience: string) => Promise<string>;
}

interface Answer {
  readonly auth: Readonly<Record<string, { readonly username: string; readonly password: string }>>;
  readonly expiresAtMs: number;
}

interface Identity {
  readonly account: PullServiceAccount;
  readonly token: string;
  readonly annotations: Readonly<Record<string, string>>;
}

const timeoutMs = 60_000;
const maxCached = 1_000;

export class CredentialPlugins {
  readonly #deps: CredentialPluginDependencies;
  readonly #providers: readonly CredentialProvider[];
  readonly #binDirectory: string;
  readonly #cache = new LruMap<string, Answer>(maxCached);
  /** Programs that are running, by provider, image and identity. */
  readonly #running = new Map<string, Promise<Answer["auth"]>>();

  constructor(providers: readonly CredentialProvider[], binDirectory: string, deps: CredentialPluginDependencies) {
    this.#providers = providers;
    this.#binDirectory = binDirectory;
    this.#deps = deps;
  }

  /** All that match; a program that fails gives none. */
  async credentialsFor(image: string, pod: Pod): Promise<readonly TrackedCredential[]> {
    const found: TrackedCredential[] = [];
    for (const provider of this.#providers) {
      if (!provider.matchImages.some((pattern) => matchesImage(pattern, image))) continue;
      try {
        found.push(...(await this.#ask(provider, image, pod)));
      } catch (error) {
        this.#deps.logger.error("Failed to provide credentials for image", { provider: provider.name, image, error: errorText(error) });
      }
    }
    return found;
  }

  async #ask(provider: CredentialProvider, image: string, pod: Pod): Promise<readonly TrackedCredential[]> {
    const identity = await this.#identityOf(provider, pod);
    if (identity === "none") return [];
    const who = identity ? this.#cacheKey(provider, identity) : "";
    const auth = this.#cached(provider, image, who) ?? (await this.#runOnce(provider, image, identity, who));
    const source = identity ? { serviceAccount: identity.account } : undefined;
    return Object.entries(auth)
      .filter(([pattern]) => matchesImage(pattern, image))
      .sort(([a], [b]) => b.length - a.length)
      .map(([server, { username, password }]) => trackedCredential({ serverAddress: server, username, password }, source));
  }

  /** "none": the program is not to be asked for this pod. Undefined: it is asked without a service account. */
  async #identityOf({ tokenAttributes }: CredentialProvider, pod: Pod): Promise<Identity | "none" | undefined> {
    if (!tokenAttributes) return undefined;
    const { serviceAccountTokenAudience: audience, requireServiceAccount } = tokenAttributes;
    const { requiredServiceAccountAnnotationKeys: required = [], optionalServiceAccountAnnotationKeys: optional = [] } = tokenAttributes;
    const { namespace } = pod.metadata;
    const name = pod.spec.serviceAccountName ?? "";
    if (name === "") return requireServiceAccount ? "none" : undefined;
    const { metadata } = await this.#deps.client.get(serviceaccounts, { namespace, name });
    if (required.some((key) => metadata.annotations?.[key] === undefined)) return "none";
    const known = [...required, ...optional].flatMap((key) => {
      const value = metadata.annotations?.[key];
      return value === undefined ? [] : [[key, value] as const];
    });
    const token = await this.#deps.token(pod, audience);
    return { account: { uid: metadata.uid, namespace, name }, token, annotations: Object.fromEntries(known) };
  }

  #cacheKey({ tokenAttributes }: CredentialProvider, { account, token, annotations }: Identity): string {
    return JSON.stringify([account, annotations, ...(tokenAttributes?.cacheType === "Token" ? [token] : [])]);
  }

  #cached({ name }: CredentialProvider, image: string, who: string): Answer["auth"] | undefined {
    for (const key of [`image ${image}`, `registry ${registryOf(image)}`, "global"]) {
      const answer = this.#cache.get(`${name} ${key} ${who}`);
      if (answer && this.#deps.clock.now() <= answer.expiresAtMs) return answer.auth;
    }
    return undefined;
  }

  #runOnce(provider: CredentialProvider, image: string, identity: Identity | undefined, who: string): Promise<Answer["auth"]> {
    const key = JSON.stringify([provider.name, image, who, identity?.token]);
    let running = this.#running.get(key);
    if (!running) {
      running = this.#run(provider, image, identity, who).finally(() => this.#running.delete(key));
      this.#running.set(key, running);
    }
    return running;
  }

  async #run(provider: CredentialProvider, image: string, identity: Identity | undefined, who: string): Promise<Answer["auth"]> {
    const { name, args, env, apiVersion, defaultCacheMs, tokenAttributes } = provider;
    const request = {
      ...{ apiVersion, kind: "CredentialProviderRequest", image },
      ...(identity ? { serviceAccountToken: identity.token, serviceAccountAnnotations: identity.annotations } : {}),
    };
    const own = Object.fromEntries(env.map((e) => [e.name, e.value]));
    const { stdout } = await runCommand(join(this.#binDirectory, name), args, {
      ...{ input: JSON.stringify(request), timeoutMs, env: { ...process.env, ...own } },
    });
    const response = parseResponse(stdout, apiVersion);
    const echoed = identity && Object.values(response.auth).some((a) => a.password === identity.token);
    if (echoed && tokenAttributes?.cacheType !== "Token")
      throw new Error(
        "credential provider plugin returned the service account token as the password which is not allowed when service account cache type is not set to 'Token'",
      );
    const keepMs = response.cacheDuration === undefined ? defaultCacheMs : providerDurationMs(response.cacheDuration);
    const key = { Image: `image ${image}`, Registry: `registry ${registryOf(image)}`, Global: "global" }[response.cacheKeyType];
    if (keepMs > 0) this.#cache.set(`${name} ${key} ${who}`, { auth: response.auth, expiresAtMs: this.#deps.clock.now() + keepMs });
    return response.auth;
  }
}

interface ProviderResponse {
  readonly cacheKeyType: "Image" | "Registry" | "Global";
  readonly cacheDuration?: string;
  readonly auth: Answer["auth"];
}

function parseResponse(text: string, apiVersion: string): ProviderResponse {
  let parsed: Partial<ProviderResponse> & { readonly apiVersion?: string };
  try {
    parsed = JSON.parse(text) as Partial<ProviderResponse>;
  } catch {
    // Without its text, which may hold credentials.
    throw new Error("error decoding credential provider plugin response from stdout");
  }
  if (parsed.apiVersion !== apiVersion)
    throw new Error(
      `apiVersion from credential plugin response did not match expected apiVersion:${apiVersion}, actual apiVersion:${parsed.apiVersion}`,
    );
  const { cacheKeyType } = parsed;
  if (cacheKeyType !== "Image" && cacheKeyType !== "Registry" && cacheKeyType !== "Global")
    throw new Error(`credential provider plugin did not return a valid cacheKeyType: ${String(cacheKeyType)}`);
  return { cacheKeyType, auth: parsed.auth ?? {}, ...(parsed.cacheDuration === undefined ? {} : { cacheDuration: parsed.cacheDuration }) };
}
