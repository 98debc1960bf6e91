// The configuration of our own containerd (config version 2, which 1.6 to 2.x read): the CRI plugin, the OCI runtimes, one
// snapshotter, and nothing that listens beyond the unix socket and a streaming port on loopback. Plugins that nothing here
// uses are off: they only lengthen the start.
import type { ContainerdPaths } from "./containerd-paths.ts";
import type { OciRuntime, OciRuntimes } from "./oci-runtimes.ts";

export interface ContainerdConfigOptions {
  readonly paths: ContainerdPaths;
  readonly sandboxImage: string;
  readonly snapshotter: "overlayfs" | "native";
  /** Where the CNI plugins' executables are. */
  readonly cniBinDirectory: string;
  /** Their programs by absolute paths, "/usr/sbin/runc". */
  readonly ociRuntimes: OciRuntimes;
  /**
   * Whether oom_score_adj may only be raised, as without CAP_SYS_RESOURCE. Otherwise every sandbox, which asks for -998,
   * would fail to start.
   */
  readonly restrictOomScoreAdj: boolean;
}

/** The text of config.toml. */
export function renderContainerdConfig(options: ContainerdConfigOptions): string {
  const { paths } = options;
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  return [
    "# Written by Coracle at every start: changes are lost.",
    section(undefined, { version: 2, root: paths.root, state: paths.state, oom_score: 0, disabled_plugins: unusedPlugins(options) }),
    section("grpc", { address: paths.socket, uid: 0, gid: 0 }),
    section("debug", { level: "warn" }),
    section(cri, {
      sandbox_image: options.sandboxImage,
      // The port is chosen by the kernel; exec and attach pass through the kubelet, which authenticates.
      stream_server_address: "127.0.0.1",
      stream_server_port: "0",
      restrict_oom_score_adj: options.restrictOomScoreAdj,
      max_container_log_line_size: 16_384,
      tolerate_missing_hugetlb_controller: true,
      netns_mounts_under_state_dir: true,
      // Off by default in 1.7, always on in 2.x, unknown in 1.6.
      enable_cdi: true,
    }),
    section(`${cri}.containerd`, { snapshotter: options.snapshotter, default_runtime_name: options.ociRuntimes.defaultName }),
    ...options.ociRuntimes.all.flatMap((runtime) => runtimeSections(`${cri}.containerd.runtimes.${runtime.name}`, runtime, paths)),
    // Mirrors, and authorities of registries: a directory with a hosts.toml for each, as for any containerd.
    section(`${cri}.registry`, { config_path: "/etc/containerd/certs.d" }),
    section(`${cri}.cni`, { bin_dir: options.cniBinDirectory, conf_dir: paths.cniConfig, max_conf_num: 1 }),
  ].join("\n");
}

function runtimeSections(name: string, runtime: OciRuntime, paths: ContainerdPaths): readonly string[] {
  return [
    section(name, { runtime_type: "io.containerd.runc.v2" }),
    section(`${name}.options`, {
      BinaryName: runtime.binary,
      Root: `${paths.state}/${runtime.name}`,
      // Cgroups are made by the kubelet, directly in the file system: works with and without systemd.
      SystemdCgroup: false,
    }),
  ];
}

/** The runtimes that a configuration made here names, with where each keeps its containers. */
export function configuredRuntimes(configText: string): readonly { readonly binary: string; readonly root: string }[] {
  const found = configText.matchAll(/^BinaryName = (".*")\nRoot = (".*")$/gm);
  return [...found].map(([, binary = "", root = ""]) => ({ binary: JSON.parse(binary) as string, root: JSON.parse(root) as string }));
}

function unusedPlugins({ snapshotter }: ContainerdConfigOptions): readonly string[] {
  const snapshotters = ["aufs", "blockfile", "btrfs", "devmapper", "zfs", "native", "overlayfs"].filter((name) => name !== snapshotter);
  return [
    ...snapshotters.map((name) => `io.containerd.snapshotter.v1.${name}`),
    "io.containerd.internal.v1.opt",
    "io.containerd.internal.v1.tracing",
    "io.containerd.tracing.processor.v1.otlp",
    "io.containerd.internal.v1.restart",
    "io.containerd.monitor.v1.cgroups",
    "io.containerd.monitor.task.v1.cgroups",
    "io.containerd.nri.v1.nri",
  ];
}

function section(name: string | undefined, values: Readonly<Record<string, string | number | boolean | readonly string[]>>): string {
  // TOML's basic strings, numbers, booleans and arrays are written as JSON's.
  const lines = Object.entries(values).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  return `${[...(name === undefined ? [] : [`[${name}]`]), ...lines].join("\n")}\n`;
}
