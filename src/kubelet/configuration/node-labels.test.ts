import { describe, expect, it } from "vitest";
import { cpuListProblem, parseCpuList } from "./cpu-list.ts";
import { nodeLabelProblem } from "./node-labels.ts";

describe("nodeLabelProblem()", () => {
  it("lets a node give itself labels of its own domains, and of others that are not Kubernetes'", () => {
    expect(
      nodeLabelProblem({ "node.kubernetes.io/disk": "ssd", "x.kubelet.kubernetes.io/a": "b", "example.com/role": "web", zone: "a" }),
    ).toBeUndefined();
    expect(nodeLabelProblem({ "topology.kubernetes.io/zone": "a" })).toBeUndefined();
  });

  it("refuses Kubernetes' other labels, and what is no label", () => {
    expect(nodeLabelProblem({ "node-role.kubernetes.io/master": "", "a.k8s.io/b": "" })).toMatch(
      /^unknown 'kubernetes.io' or 'k8s.io' labels specified with --node-labels: \[a\.k8s\.io\/b node-role\.kubernetes\.io\/master\]\n/,
    );
    expect(nodeLabelProblem({ "a b": "c" })).toMatch(/^invalid node labels: 'a b' - /);
  });
});

describe("parseCpuList()", () => {
  it("reads numbers and ranges, each CPU once", () => {
    expect(parseCpuList("0-2,7,1")).toEqual([0, 1, 2, 7]);
  });

  it("gives nothing for what is no list", () => {
    for (const written of ["", "a", "3-1", "1,", "-1", "0-99999999"]) expect(parseCpuList(written)).toBeUndefined();
  });

  it.each([
    ["0-2,7,1", undefined],
    ["abc", 'strconv.Atoi: parsing "abc": invalid syntax'],
    ["1,", 'strconv.Atoi: parsing "": invalid syntax'],
    ["3-1", 'invalid range "3-1" (3 > 1)'],
    ["0-99999999", "no machine has a CPU 99999999"],
  ])("says why %s is none", (written, problem) => {
    expect(cpuListProblem(written)).toBe(problem);
  });
});
