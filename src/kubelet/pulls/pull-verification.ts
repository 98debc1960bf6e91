// Whether a pod may use an image that is on the node already, or has to prove by a pull that its credentials open it
// (imagePullCredentialsVerificationPolicy). Images that were not pulled by the kubelet are everybody's by default.

import { parseImageName, registryOf } from "../../api/semantics/image-name.ts";
import type { Clock } from "../../base/clock.ts";
import { formatTime } from "../../base/clock.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import type { TrackedCredential } from "./pull-credentials.ts";
import type { PullCredentials, PulledRecord, PullRecords } from "./pull-records.ts";

export type VerificationPolicy = "NeverVerify" | "NeverVerifyPreloadedImages" | "NeverVerifyAllowlistedImages" | "AlwaysVerify";

export interface PullVerificationOptions {
  readonly policy: VerificationPolicy;
  /** For NeverVerifyAllowlistedImages: names, or prefixes that end in "/*". */
  readonly allowlist: readonly string[];
}

/** What a look at an image that is here comes to. */
export type CheckResult = "credentialPolicyAllowed" | "credentialRecordFound" | "mustAuthenticate" | "error";

export interface PullVerificationDependencies {
  readonly onChecked?: (result: CheckResult) => void;
  readonly records: PullRecords;
  readonly cri: CriRuntime;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** So many secrets of an image are remembered while pods with others keep matching. */
const maxRemembered = 100;

export class PullVerification {
  readonly #deps: PullVerificationDependencies;
  readonly #options: PullVerificationOptions;
  /** Pulls under way, by image. */
  readonly #pulling = new Map<string, number>();
  #begun: Promise<void> | undefined;

  constructor(deps: PullVerificationDependencies, options: PullVerificationOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** `imageRef` is on the node under the name `image`. */
  async mustPull(image: string, imageRef: string, credentials: () => Promise<readonly TrackedCredential[]>): Promise<boolean> {
    const result = await this.#check(image, imageRef, credentials);
    this.#deps.onChecked?.(result);
    return result === "mustAuthenticate" || result === "error";
  }

  async #check(image: string, imageRef: string, credentials: () => Promise<readonly TrackedCredential[]>): Promise<CheckResult> {
    if (this.#options.policy === "NeverVerify") return "credentialPolicyAllowed";
    await this.#begin();
    let record: PulledRecord | undefined;
    let byKubelet: boolean;
    try {
      record = await this.#deps.records.pulled(imageRef);
      byKubelet = record !== undefined || this.#pulling.has(image) || (await this.#deps.records.isIntended(image));
    } catch (error) {
      this.#deps.logger.error("Unable to access cache records about image pulls", { image, error: errorText(error) });
      return "error";
    }
    if (!this.#mustVerify(image, byKubelet)) return "credentialPolicyAllowed";
    const known = record?.credentialMapping?.[repositoryOf(image)];
    if (!known) return "mustAuthenticate";
    if (known.nodePodsAccessible) return "credentialRecordFound";
    return (await this.#matches(image, imageRef, known, await credentials())) ? "credentialRecordFound" : "mustAuthenticate";
  }

  /** Before a pull, which is not begun where this fails. */
  async begin(image: string): Promise<void> {
    await this.#begin();
    this.#pulling.set(image, (this.#pulling.get(image) ?? 0) + 1);
    try {
      await this.#deps.records.intend(image);
    } catch (error) {
      this.#left(image);
      throw error;
    }
  }

  /** After it: with what it has succeeded, or undefined where it has not. */
  async end(image: string, result: { readonly imageRef: string; readonly used: TrackedCredential | undefined } | undefined): Promise<void> {
    try {
      if (result) await this.#remember(image, result.imageRef, asCredentials(result.used));
    } catch (error) {
      // The intent stays: the image still counts as pulled by the kubelet.
      this.#deps.logger.error("Writing the record of a pulled image failed", { image, error: errorText(error) });
      return;
    }
    if (this.#left(image) > 0) return;
    try {
      // What begins meanwhile writes the intent anew, after this.
      await this.#deps.records.forgetIntent(image);
    } catch (error) {
      this.#deps.logger.error("Forgetting the intent to pull an image failed", { image, error: errorText(error) });
    }
  }

  /** One pull less of the image; returns how many are left. */
  #left(image: string): number {
    const left = (this.#pulling.get(image) ?? 1) - 1;
    if (left > 0) this.#pulling.set(image, left);
    else this.#pulling.delete(image);
    return left;
  }

  /** What a former kubelet was pulling when it ended, and is here now, was pulled with nobody knows what. */
  #begin(): Promise<void> {
    this.#begun ??= this.#adopt().catch((error: unknown) => {
      this.#begun = undefined;
      throw error;
    });
    return this.#begun;
  }

  async #adopt(): Promise<void> {
    const { records, cri } = this.#deps;
    for (const image of await records.intended()) {
      const { image: found } = await cri.imageStatus({ image: { image } });
      if (found && found.id !== "") await this.#remember(image, found.id, undefined);
      await records.forgetIntent(image);
    }
  }

  #mustVerify(image: string, byKubelet: boolean): boolean {
    switch (this.#options.policy) {
      case "NeverVerify":
        return false;
      case "NeverVerifyPreloadedImages":
        return byKubelet;
      case "AlwaysVerify":
        return true;
      case "NeverVerifyAllowlistedImages": {
        const repository = repositoryOf(image);
        return !this.#options.allowlist.some((p) => (p.endsWith("/*") ? repository.startsWith(p.slice(0, -1)) : repository === p));
      }
    }
  }

  /** Secrets match by what is in them, or by being the same object; service accounts by being the same. */
  async #matches(image: string, imageRef: string, known: PullCredentials, own: readonly TrackedCredential[]): Promise<boolean> {
    const { kubernetesSecrets: secrets = [], kubernetesServiceAccounts: accounts = [] } = known;
    for (const credential of own) {
      const { secret, serviceAccount } = credential.source ?? {};
      if (serviceAccount && accounts.some((a) => a.uid === serviceAccount.uid && a.name === serviceAccount.name)) return true;
      if (!secret) continue;
      const same = secrets.find((s) => s.uid === secret.uid && s.name === secret.name && s.namespace === secret.namespace);
      const sameContents = secrets.some((s) => s.credentialHash === credential.hash);
      if (!same && !sameContents) continue;
      if (!(same && sameContents) && secrets.length < maxRemembered) await this.#remember(image, imageRef, asCredentials(credential));
      return true;
    }
    return false;
  }

  async #remember(image: string, imageRef: string, credentials: PullCredentials | undefined): Promise<void> {
    const { records, clock } = this.#deps;
    const before = await records.pulled(imageRef);
    const repository = repositoryOf(image);
    const known = before?.credentialMapping?.[repository];
    const merged = credentials && merge(known, credentials);
    if (before && (!merged || JSON.stringify(merged) === JSON.stringify(known))) return;
    const credentialMapping = { ...before?.credentialMapping, ...(merged ? { [repository]: merged } : {}) };
    await records.write({ lastUpdatedTime: formatTime(clock.now()), imageRef, credentialMapping });
  }
}

/** Without tag and digest, with the registry. */
function repositoryOf(image: string): string {
  const { name } = parseImageName(image);
  if (registryOf(image) !== "docker.io" || name.startsWith("docker.io/")) return name;
  return `docker.io/${name.includes("/") ? name : `library/${name}`}`;
}

/** Anonymously, or with the node's own: all pods of the node may have it. */
function asCredentials(used: TrackedCredential | undefined): PullCredentials {
  const { secret, serviceAccount } = used?.source ?? {};
  if (used && secret) return { kubernetesSecrets: [{ ...secret, credentialHash: used.hash }] };
  return serviceAccount ? { kubernetesServiceAccounts: [serviceAccount] } : { nodePodsAccessible: true };
}

function merge(known: PullCredentials | undefined, more: PullCredentials): PullCredentials {
  if (known?.nodePodsAccessible || more.nodePodsAccessible) return { nodePodsAccessible: true };
  const added = more.kubernetesSecrets ?? [];
  const isReplaced = (uid: string): boolean => added.some((a) => a.uid === uid);
  const secrets = [...(known?.kubernetesSecrets ?? []).filter((s) => !isReplaced(s.uid)), ...added];
  const newAccounts = more.kubernetesServiceAccounts ?? [];
  const accounts = [...(known?.kubernetesServiceAccounts ?? []).filter((a) => !newAccounts.some((n) => n.uid === a.uid)), ...newAccounts];
  return {
    ...(secrets.length > 0 ? { kubernetesSecrets: secrets } : {}),
    ...(accounts.length > 0 ? { kubernetesServiceAccounts: accounts } : {}),
  };
}
