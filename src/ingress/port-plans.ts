// Puts together what each port serves: sites of gateways, and at the two ports of Ingress objects what those say. Keeps the
// certificates of each, so that one that can no longer be read goes on being shown.
import type { Secret } from "../api/types/core-v1.ts";
import type { Ingress } from "../api/types/networking-v1.ts";
import { type CertificateProblem, Certificates } from "./certificates.ts";
import type { GatewayPort } from "./gateway/gateway-plan.ts";
import type { Gateway } from "./gateway/gateway-types.ts";
import type { IngressRules } from "./ingress-rules.ts";
import { compileRoutes } from "./routes.ts";
import type { PortPlan, Site } from "./sites.ts";

export interface IngressPorts {
  readonly httpPort: number;
  readonly httpsPort: number;
}

export interface PlanInput {
  /** Undefined: there is no Ingress. */
  readonly rules: IngressRules | undefined;
  readonly gateways: readonly GatewayPort[];
  readonly secretOf: (key: string) => Secret | undefined;
}

export class PortPlanner {
  readonly #ports: IngressPorts;
  readonly #ofIngress = new Certificates<Ingress>();
  #ofGateways = new Map<number, Certificates<Gateway>>();

  constructor(ports: IngressPorts) {
    this.#ports = ports;
  }

  plan({ rules, gateways, secretOf }: PlanInput): {
    readonly plans: readonly PortPlan[];
    readonly problems: readonly CertificateProblem<Ingress>[];
  } {
    const problems = this.#ofIngress.update(rules?.certificates ?? [], secretOf);
    const site = rules && ingressSite(rules);
    const before = this.#ofGateways;
    this.#ofGateways = new Map();
    const plans = new Map<string, PortPlan>();
    for (const { scheme, port, sites, h2c, certificates } of gateways) {
      const shown = before.get(port) ?? new Certificates<Gateway>();
      shown.update(certificates, secretOf);
      this.#ofGateways.set(port, shown);
      plans.set(`${scheme} ${port}`, { scheme, port, sites, h2c, contextOf: (name) => shown.find(name) });
    }
    if (site) for (const [scheme, port] of this.#ingressPorts) this.#addIngress(plans, { scheme, port, site });
    return { plans: [...plans.values()], problems };
  }

  get #ingressPorts() {
    return [
      ["http", this.#ports.httpPort],
      ["https", this.#ports.httpsPort],
    ] as const;
  }

  #addIngress(plans: Map<string, PortPlan>, { scheme, port, site }: Pick<PortPlan, "scheme" | "port"> & { readonly site: Site }): void {
    const shared = plans.get(`${scheme} ${port}`);
    const contextOf = (name: string) => shared?.contextOf?.(name) ?? this.#ofIngress.find(name);
    plans.set(`${scheme} ${port}`, { scheme, port, sites: [...(shared?.sites ?? []), site], h2c: shared?.h2c ?? false, contextOf });
  }
}

function ingressSite({ routes, defaults }: IngressRules): Site {
  return { host: undefined, isLastResort: true, table: compileRoutes(routes, { defaults }) };
}
