import { describe, expect, it } from "vitest";
import { parseFlows } from "./conntrack.ts";

describe("parseFlows()", () => {
  it("reads both directions of a flow", () => {
    const output = `udp      17 28 src=10.244.1.2 dst=10.96.0.10 sport=4321 dport=53 [UNREPLIED] src=10.244.1.5 dst=10.244.1.2 sport=5353 dport=4321 mark=0 use=1
udp      17 119 src=fd44::2 dst=fd96::a sport=4321 dport=53 src=fd44::5 dst=fd44::2 sport=53 dport=4321 [ASSURED] mark=0 use=1
`;
    expect(parseFlows(output)).toEqual([
      { destination: "10.96.0.10", destinationPort: 53, answeredBy: "10.244.1.5", answeringPort: 5353 },
      { destination: "fd96::a", destinationPort: 53, answeredBy: "fd44::5", answeringPort: 53 },
    ]);
    expect(parseFlows("")).toEqual([]);
  });
});
