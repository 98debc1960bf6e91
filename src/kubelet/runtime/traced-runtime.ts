// The container runtime, each of whose calls is a span of the trace it belongs to, named as gRPC's instrumentation names it.
// Calls that belong to none (listing, statistics) leave no trace of their own. Streams are passed through.
import type { Tracer } from "../../base/tracing.ts";
import type { CriRuntime } from "../../cri/cri.ts";

const runtimeCalls = [
  ...["runPodSandbox", "stopPodSandbox", "removePodSandbox", "podSandboxStatus", "createContainer", "startContainer", "stopContainer"],
  ...["removeContainer", "containerStatus", "updateContainerResources", "updatePodSandboxResources", "execSync"],
] as const;
const imageCalls = ["pullImage", "imageStatus", "removeImage"] as const;

type Call = (request: never, options?: never) => Promise<object>;

export function tracedRuntime(cri: CriRuntime, tracer: Tracer): CriRuntime {
  const wrapped = { ...cri } as Record<string, unknown>;
  for (const [service, calls] of [
    ["runtime.v1.RuntimeService", runtimeCalls],
    ["runtime.v1.ImageService", imageCalls],
  ] as const)
    for (const name of calls) {
      const method = `${name.charAt(0).toUpperCase()}${name.slice(1)}`;
      const attributes = { "rpc.system": "grpc", "rpc.service": service, "rpc.method": method };
      // Runtimes are objects of functions by method name; the types of one method are those of the same name.
      const call = cri[name] as Call;
      wrapped[name] = ((request, options) =>
        tracer.span(`${service}/${method}`, { attributes, kind: "client" }, () => call(request, options))) satisfies Call;
    }
  return wrapped as unknown as CriRuntime;
}
