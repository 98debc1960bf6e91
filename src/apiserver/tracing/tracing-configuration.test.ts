import { expect, it } from "vitest";
import { parseTracingConfiguration } from "./tracing-configuration.ts";

const document = (body: string, version = "v1"): string =>
  `apiVersion: apiserver.config.k8s.io/${version}\nkind: TracingConfiguration\n${body}`;

it.each([
  ["v1", "endpoint: localhost:4317\nsamplingRatePerMillion: 100", { endpoint: "localhost:4317", samplingRatePerMillion: 100 }],
  ["v1beta1", "endpoint: unix:///run/otlp.sock", { endpoint: "unix:///run/otlp.sock", samplingRatePerMillion: 0 }],
  ["v1alpha1", "", { samplingRatePerMillion: 0 }],
])("parseTracingConfiguration() reads %s with %j", async (version, body, expected) => {
  expect(await parseTracingConfiguration(document(body, version))).toEqual(expected);
});

it.each([
  [document("samplingRatePerMillion: -1"), "samplingRatePerMillion: Invalid value: -1: sampling rate must be positive"],
  [
    document("samplingRatePerMillion: 1000001\nendpoint: https://a:1"),
    '[samplingRatePerMillion: Invalid value: 1000001: sampling rate per million must be less than or equal to one million, endpoint: Invalid value: "https://a:1": unsupported scheme: https.',
  ],
  [document("rate: 5"), "rate"],
  [document("samplingRatePerMillion: many"), "samplingRatePerMillion"],
  [document("", "v2"), "apiserver.config.k8s.io/v1"],
])("parseTracingConfiguration() refuses %j", async (text, problem) => {
  await expect(parseTracingConfiguration(text)).rejects.toThrow(problem);
});
