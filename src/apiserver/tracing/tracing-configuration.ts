// The file of --tracing-config-file: a TracingConfiguration of apiserver.config.k8s.io. Texts are upstream's.
import { ConfigError, readConfigText } from "../../api/encode/config-fields.ts";
import { endpointProblem } from "../../rpc/otlp.ts";

export interface TracingConfiguration {
  /** "host:port", "dns:///host:port", "unix:///path". Default localhost:4317. */
  readonly endpoint?: string;
  /** Of a million requests that are not part of a trace already so many are traced. Default 0. */
  readonly samplingRatePerMillion: number;
}

const versions = ["v1", "v1beta1", "v1alpha1"].map((version) => `apiserver.config.k8s.io/${version}`);
const million = 1_000_000;

/** Throws ConfigError. */
export async function parseTracingConfiguration(text: string): Promise<TracingConfiguration> {
  const root = await readConfigText(text, "TracingConfiguration", versions);
  const [endpoint, rate = 0] = [root.text("endpoint"), root.integer("samplingRatePerMillion")];
  root.end();
  const invalid = (field: string, value: unknown, why: string): string => `${field}: Invalid value: ${JSON.stringify(value)}: ${why}`;
  const wrongEndpoint = endpoint === undefined ? undefined : endpointProblem(endpoint);
  const problems = [
    ...(rate < 0 ? [invalid("samplingRatePerMillion", rate, "sampling rate must be positive")] : []),
    ...(rate > million
      ? [invalid("samplingRatePerMillion", rate, "sampling rate per million must be less than or equal to one million")]
      : []),
    ...(wrongEndpoint === undefined ? [] : [invalid("endpoint", endpoint, wrongEndpoint)]),
  ];
  if (problems.length > 0) throw new ConfigError(problems.length === 1 ? (problems[0] ?? "") : `[${problems.join(", ")}]`);
  return { ...(endpoint ? { endpoint } : {}), samplingRatePerMillion: rate };
}
