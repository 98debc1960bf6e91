// The policies that have bindings, compiled: read from the watch cache, made anew with the first request after a change, in
// the order of their names. A policy that did not change stays compiled. While there is no binding a request costs one look
// at an empty list.
import type { KubernetesObject } from "../../../api/meta/object.ts";
import { SelectorError } from "../../../api/meta/selectors.ts";
import type { MatchResources, ParamKind, ParamRef } from "../../../api/types/admissionregistration-v1.ts";
import type { Informer } from "../../../client/informer.ts";
import type { Manifests } from "../manifests/followed-manifests.ts";
import { type CompiledMatch, compileMatch } from "./match-resources.ts";

/** What both kinds of policy say. */
export interface Policy extends KubernetesObject {
  readonly spec?: {
    readonly failurePolicy?: "Fail" | "Ignore";
    readonly paramKind?: ParamKind;
    readonly matchConstraints?: MatchResources;
  };
}

export interface PolicyBinding extends KubernetesObject {
  readonly spec?: {
    readonly policyName?: string;
    readonly paramRef?: ParamRef;
    readonly matchResources?: MatchResources;
    readonly validationActions?: readonly string[];
  };
}

export interface BoundPolicy<Compiled> {
  readonly policy: Policy;
  readonly name: string;
  /** Failures are as if there were no policy. */
  readonly ignoresFailures: boolean;
  readonly match: Match;
  readonly compiled: Compiled;
  readonly bindings: readonly CompiledBinding[];
}

export interface CompiledBinding {
  readonly binding: PolicyBinding;
  readonly name: string;
  /** undefined: everything that the policy is for. */
  readonly match: Match | undefined;
}

/** What a policy or binding is for, or why that cannot be told. */
export type Match = { readonly rules: CompiledMatch; readonly problem?: undefined } | { readonly problem: string };

export interface PolicyInformers {
  policies(): Informer<Policy>;
  bindings(): Informer<PolicyBinding>;
}

/** Those of files, if there are any. */
export type PoliciesOfFiles = Manifests<{ readonly policies: readonly Policy[]; readonly bindings: readonly PolicyBinding[] }>;

export class PolicySource<Compiled> {
  readonly #informersOf: PolicyInformers;
  readonly #compile: (policy: Policy) => Compiled;
  #informers: { readonly policies: Informer<Policy>; readonly bindings: Informer<PolicyBinding> } | undefined;
  #bound: readonly BoundPolicy<Compiled>[] = [];
  #ofFiles: readonly BoundPolicy<Compiled>[] = [];
  /** By the policy's uid and generation. */
  #known = new Map<string, Compiled>();
  #isStale = true;

  constructor(informers: PolicyInformers, compile: (policy: Policy) => Compiled, manifests?: PoliciesOfFiles) {
    this.#informersOf = informers;
    this.#compile = compile;
    const read = (): void => {
      const { policies = [], bindings = [] } = manifests?.current ?? {};
      this.#ofFiles = bind(policies, bindings, compile);
      this.#isStale = true;
    };
    if (manifests) read();
    manifests?.onChange(read);
  }

  /** Those of files: they see also what configures admission, which they cannot keep anyone from repairing. */
  get ofFiles(): readonly BoundPolicy<Compiled>[] {
    return this.#ofFiles;
  }

  /** False only where it is certain that there are none. */
  get mayHavePolicies(): boolean {
    return this.#isStale || this.#bound.length > 0;
  }

  /** All of them, those of files first, once policies and bindings have been read. */
  async policies(signal: AbortSignal): Promise<readonly BoundPolicy<Compiled>[]> {
    const { policies, bindings } = this.#followed();
    if (!policies.hasSynced) await policies.synced(signal);
    if (!bindings.hasSynced) await bindings.synced(signal);
    if (this.#isStale) {
      this.#isStale = false;
      this.#bound = [...this.#ofFiles, ...this.#bind([...policies.list()], [...bindings.list()])];
    }
    return this.#bound;
  }

  #followed(): { readonly policies: Informer<Policy>; readonly bindings: Informer<PolicyBinding> } {
    if (this.#informers) return this.#informers;
    const informers = { policies: this.#informersOf.policies(), bindings: this.#informersOf.bindings() };
    const onChange = (): void => {
      this.#isStale = true;
    };
    informers.policies.addHandler({ onAdd: onChange, onUpdate: onChange, onDelete: onChange });
    informers.bindings.addHandler({ onAdd: onChange, onUpdate: onChange, onDelete: onChange });
    this.#informers = informers;
    return informers;
  }

  #bind(policies: readonly Policy[], bindings: readonly PolicyBinding[]): readonly BoundPolicy<Compiled>[] {
    const compiled = new Map<string, Compiled>();
    const bound = bind(policies, bindings, (policy) => {
      const { uid, generation = 0 } = policy.metadata;
      const key = `${uid}/${generation}`;
      const known = this.#known.get(key) ?? this.#compile(policy);
      compiled.set(key, known);
      return known;
    });
    this.#known = compiled;
    return bound;
  }
}

/** Policies that have bindings. */
function bind<Compiled>(
  policies: readonly Policy[],
  bindings: readonly PolicyBinding[],
  compile: (policy: Policy) => Compiled,
): readonly BoundPolicy<Compiled>[] {
  const sorted = bindings.toSorted(byName);
  return policies.toSorted(byName).flatMap((policy): readonly BoundPolicy<Compiled>[] => {
    const own = sorted.filter(({ spec }) => spec?.policyName === policy.metadata.name);
    if (own.length === 0) return [];
    return [
      {
        policy,
        name: policy.metadata.name,
        ignoresFailures: policy.spec?.failurePolicy === "Ignore",
        match: policyMatch(policy),
        compiled: compile(policy),
        bindings: own.map((binding) => ({ binding, name: binding.metadata.name, match: bindingMatch(binding) })),
      },
    ];
  });
}

const byName = (a: KubernetesObject, b: KubernetesObject): number => (a.metadata.name < b.metadata.name ? -1 : 1);

function policyMatch({ spec }: Policy): Match {
  return spec?.matchConstraints ? matchOf(spec.matchConstraints) : { problem: "policy contained no match constraints, a required field" };
}

const bindingMatch = ({ spec }: PolicyBinding): Match | undefined => spec?.matchResources && matchOf(spec.matchResources);

function matchOf(match: MatchResources): Match {
  try {
    return { rules: compileMatch(match) };
  } catch (error) {
    if (error instanceof SelectorError) return { problem: error.message };
    throw error;
  }
}
