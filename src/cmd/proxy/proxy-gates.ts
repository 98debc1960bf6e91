// The feature gates of the service proxy that can be turned here.
import { type FeatureGates, type GateSupport, type GateValues, resolveFeatureGates } from "../../api/semantics/feature-gates.ts";

export const proxyGates: GateSupport = { component: "proxy", switchable: new Set(["ComponentFlagz", "ComponentStatusz"]) };

export const resolveProxyGates = (given: GateValues): FeatureGates => resolveFeatureGates(given, proxyGates);
