// The layers of docs/architecture.md, checked: a component never imports another one, only cmd/ wires them together.
const components = ["apiserver", "scheduler", "controllers", "cloud", "kubelet", "proxy", "network-policy", "node-network", "routed-network", "load-balancer", "dns", "ingress", "metrics-server"];
// Two networks between nodes: the second finds nodes and makes tunnels as the first one does.
const builtOn = { "routed-network": ["node-network"] };
const nodeSide = ["cri", "cni", "csi", "linux"];
/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    { name: "no-cycles", severity: "error", comment: "modules depend on each other in one direction (the linked schema types aside)", from: { pathNot: "\\.generated\\.ts$|^src/api/types" }, to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } } },
    ...components.map((c) => ({
      name: `${c}-alone`,
      severity: "error",
      comment: "a component sees the cluster only through client",
      // Tests may build clusters and fixtures of several components.
      from: { path: `^src/${c}/`, pathNot: "\\.test\\.ts$" },
      to: { path: `^src/(${components.filter((x) => x !== c && !builtOn[c]?.includes(x)).join("|")}|cmd|cli|testing|dashboard)/` },
    })),
    { name: "storage-behind-apiserver", severity: "error", from: { pathNot: "^src/(storage|apiserver|cmd|testing)/|^test/" }, to: { path: "^src/storage/" } },
    { name: "node-side-libraries", severity: "error", from: { path: "^src/", pathNot: `^src/(kubelet|proxy|network-policy|node-network|routed-network|load-balancer|cmd|cli|testing|${nodeSide.join("|")})/` }, to: { path: `^src/(${nodeSide.join("|")})/` } },
    { name: "base-knows-nothing", severity: "error", from: { path: "^src/base/" }, to: { path: "^src/(?!base/)" } },
    { name: "cel-on-base", severity: "error", from: { path: "^src/cel/", pathNot: "\\.test\\.ts$|\\.bench\\.ts$" }, to: { path: "^src/(?!(cel|base)/)" } },
    { name: "api-on-base", severity: "error", from: { path: "^src/api/", pathNot: "\\.test\\.ts$" }, to: { path: "^src/(?!(api|base|cel)/)" } },
    { name: "api-in-browsers", severity: "error", comment: "api runs in a browser too", from: { path: "^src/(api|cel)/", pathNot: "\\.(test|bench)\\.ts$" }, to: { dependencyTypes: ["core"] } },
    { name: "client-on-api", severity: "error", from: { path: "^src/client/", pathNot: "\\.test\\.ts$" }, to: { path: "^src/(?!(api|base|client|rpc)/)" } },
    { name: "storage-on-base", severity: "error", from: { path: "^src/storage/" }, to: { path: "^src/(?!(base|storage|rpc)/)" } },
    { name: "libraries-below-components", severity: "error", from: { path: `^src/(${nodeSide.join("|")}|rpc)/` }, to: { path: `^src/(${components.join("|")}|cmd|cli|testing)/` } },
    { name: "no-unresolved", severity: "error", from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { extensions: [".ts", ".mjs", ".js", ".cjs"] },
  },
};
