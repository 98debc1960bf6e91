// What tests of aggregation register: a service that leads to an extension server of the same machine, and its APIService.
import type { New } from "../../api/meta/object.ts";
import type { APIService } from "../../api/types/apiregistration-v1.ts";
import type { Service } from "../../api/types/core-v1.ts";

/** The name the extension server's certificate is for. */
export const serviceDns = "sample.default.svc";

/** Endpoints may not be loopback addresses: the service is an alias of this machine instead. */
export const sampleService: New<Service> = {
  metadata: { name: "sample", namespace: "default" },
  spec: { type: "ExternalName", externalName: "localhost" } as Service["spec"],
};

export function sampleApiService({ port, caBundle }: { readonly port: number; readonly caBundle: string }): New<APIService> {
  return {
    apiVersion: "apiregistration.k8s.io/v1",
    kind: "APIService",
    metadata: { name: "v1.sample.example.com" },
    spec: {
      group: "sample.example.com",
      version: "v1",
      groupPriorityMinimum: 1500,
      versionPriority: 10,
      caBundle,
      service: { namespace: "default", name: "sample", port },
    },
  };
}
