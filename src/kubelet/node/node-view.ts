// The node as admission sees it: what is known of its object (static pods may come before it is registered), what it runs
// short of, and what of it is handed out by whoever counts it.
import type { Node, NodeFeatures } from "../../api/types/core-v1.ts";
import type { PressureCondition } from "../eviction/thresholds.ts";
import type { MachineRules, NodeState } from "../pods/admission.ts";
import { type NodeConfig, type NodeFacts, nodeLabels, nodeResources } from "./node-status.ts";

export interface NodeViewDependencies {
  /** As the API server has it; undefined until it is registered. */
  readonly node: () => Node | undefined;
  readonly facts: () => NodeFacts;
  /** Of the runtime. */
  readonly features: () => NodeFeatures | undefined;
  readonly pressure: () => readonly PressureCondition[];
  readonly shuttingDown: () => boolean;
  /** Whether whoever hands out the resource counts it too. */
  readonly manages: (resource: string) => boolean;
}

export interface NodeViewOptions {
  readonly config: NodeConfig;
  readonly allowedUnsafeSysctls: readonly string[];
}

export class NodeView {
  readonly #deps: NodeViewDependencies;
  readonly #options: NodeViewOptions;

  constructor(deps: NodeViewDependencies, options: NodeViewOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  state(): NodeState {
    const { pressure, shuttingDown } = this.#deps;
    return { node: this.#withoutManaged(this.node()), pressure: pressure(), shuttingDown: shuttingDown(), machine: this.#machineRules() };
  }

  /** The node as far as it is known. */
  node(): Node {
    const known = this.#deps.node();
    if (known?.status?.allocatable) return known;
    const facts = this.#deps.facts();
    const { config } = this.#options;
    const metadata = { name: facts.name, labels: nodeLabels(facts, config) } as unknown as Node["metadata"]; // the rest is the server's to give
    const features = this.#deps.features();
    const status = { ...nodeResources(facts, config), ...(features ? { features } : {}) };
    return { apiVersion: "v1", kind: "Node", metadata, spec: {}, status };
  }

  /** What is handed out piece by piece is counted by whoever hands it out. */
  #withoutManaged(node: Node): Node {
    const { allocatable = {} } = node.status ?? {};
    const managed = Object.keys(allocatable).filter((name) => name.includes("/") && this.#deps.manages(name));
    if (managed.length === 0) return node;
    const rest = Object.fromEntries(Object.entries(allocatable).filter(([name]) => !managed.includes(name)));
    return { ...node, status: { ...node.status, allocatable: rest } };
  }

  #machineRules(): MachineRules {
    const { appArmor, system } = this.#deps.facts();
    return { appArmor, kernelVersion: system.kernelVersion, allowedUnsafe: this.#options.allowedUnsafeSysctls };
  }
}
