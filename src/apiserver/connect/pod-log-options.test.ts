import { describe, expect, it } from "vitest";
import { nodes, pods } from "../../api/resources.generated.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import { MemoryReader } from "../admission/memory-reader.ts";
import { type ConnectDependencies, kubeletUrlOf } from "./node-endpoint.ts";
import { parseLogOptions } from "./pod-log.ts";

describe("parseLogOptions()", () => {
  const options = (query: string): unknown => parseLogOptions(new URLSearchParams(query), "p");

  it("knows no streams, which are behind a gate that is off", () => {
    expect(() => options("stream=Stdout")).toThrow('PodLogOptions "p" is invalid: stream: Forbidden: may not be specified');
    expect(() => options("stream=")).toThrow("stream: Forbidden: may not be specified");
  });

  it("takes all but false and 0 as true, in capitals and without a value too", () => {
    expect(options("follow=yes&previous&timestamps=TRUE")).toEqual({ follow: "true", previous: "true", timestamps: "true" });
    expect(options("follow=False&previous=0&timestamps=false&timestamps=true")).toEqual({});
  });

  it("reads times before it looks at anything else", () => {
    expect(() => options("sinceTime=x&sinceSeconds=0")).toThrow(
      'parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"',
    );
    expect(options("sinceTime=2024-01-01T00:00:00Z")).toEqual({ sinceTime: "2024-01-01T00:00:00Z" });
  });
});

describe("kubeletUrlOf()", () => {
  it("names the node it does not find as what is asked about is named", () => {
    const reader = new MemoryReader();
    const deps = { pods: reader.informer(pods), nodes: reader.informer(nodes) } as unknown as ConnectDependencies; // what is read
    const pod = { metadata: { name: "p" }, spec: { nodeName: "gone" } } as Pod;
    expect(() => kubeletUrlOf(deps, pod)).toThrow('pods "gone" not found');
  });
});
