// A CNI plugin as a value: five operations that take a parsed configuration and arguments, and act through effects that are given
// to them. The same value is served by the plugin host of a node (src/cni/host), which runs it inside the node's process, and by
// `coracle cni NAME`, which is an executable like any other plugin's. Adding a plugin is adding one to a table of these.
import type { CommandResult } from "../../linux/run-command.ts";
import type { CniDns, CniResult } from "../spec/result.ts";

/** All of them under the names of their executables. */
export type PluginTable = Readonly<Record<string, CniPlugin>>;

export interface CniPlugin {
  /** Attaches the container, or changes what earlier plugins of the chain have made. A failure leaves nothing behind. */
  add(call: CniCall, effects: CniEffects): Promise<CniResult>;
  /** Takes away what add() made, as far as it is there; any number of times. */
  del(call: CniCall, effects: CniEffects): Promise<void>;
  /** Throws where something that add() made is missing or different. */
  check(call: CniCall, effects: CniEffects): Promise<void>;
  /** Throws where add() would not work now. Default: it would. */
  status?(call: CniCall, effects: CniEffects): Promise<void>;
  /** Takes away what belongs to none of the valid attachments. Default: there is nothing such. */
  gc?(call: CniCall, effects: CniEffects): Promise<void>;
  /** Takes up again what an earlier process kept for containers. Default: nothing is kept. */
  restore?(warn: CniEffects["warn"]): Promise<void>;
}

/** A plugin's configuration as the runtime hands it over: what the protocol defines, and fields of the plugin's own. */
export interface PluginConfig {
  readonly cniVersion: string;
  readonly name: string;
  readonly type: string;
  readonly ipam?: { readonly type?: string; readonly [field: string]: unknown };
  readonly dns?: CniDns;
  /** Values of capabilities: { portMappings: […], bandwidth: {…}, mac, ips, … }. */
  readonly runtimeConfig?: Readonly<Record<string, unknown>>;
  readonly args?: Readonly<Record<string, unknown>>;
  /** Of the plugin before this one in the chain; in DEL and CHECK, of the whole chain's ADD. */
  readonly prevResult?: CniResult;
  readonly "cni.dev/valid-attachments"?: readonly ValidAttachment[];
  readonly [field: string]: unknown;
}

export interface ValidAttachment {
  readonly containerID: string;
  readonly ifname: string;
}

export interface CniCall {
  readonly config: PluginConfig;
  /** Empty in STATUS and GC, as the next two are. */
  readonly containerId: string;
  /** A path; in DEL also empty, or of a namespace that is gone. */
  readonly netns: string;
  readonly ifName: string;
  /** CNI_ARGS: K8S_POD_NAMESPACE, K8S_POD_NAME and so on. */
  readonly args: Readonly<Record<string, string>>;
  /** CNI_ARGS as given, to hand on. */
  readonly rawArgs: string;
  /** Directories of executables, for plugins this one delegates to. */
  readonly path: readonly string[];
}

export type CniCommand = "ADD" | "DEL" | "CHECK" | "STATUS" | "GC";

/** All that a plugin does to the machine besides files of its own. */
export interface CniEffects {
  /** Commands of `ip`, in one process, in order; see IpBatch. Rejects with the kernel's words for the first that may not fail. */
  ip(batch: IpBatch): Promise<void>;
  /** What `ip -json …` lists. */
  ipList<T>(args: readonly string[], options?: InNamespace): Promise<readonly T[]>;
  /** Brings an interface of a container up or down, without a process where that can be. */
  setLink(link: { readonly netns: string; readonly name: string; readonly up: boolean }): Promise<void>;
  /** A transaction of nft: all of it or nothing. */
  nft(script: string, options?: InNamespace): Promise<void>;
  /** Any other tool (tc, iptables), in the namespace if one is given. */
  run(
    tool: string,
    args: readonly string[],
    options?: InNamespace & { readonly input?: string; readonly timeoutMs?: number },
  ): Promise<CommandResult>;
  /** Values below /proc/sys of this process's namespace: { "net/ipv4/ip_forward": "1" }. */
  sysctl(values: Readonly<Record<string, string>>): Promise<void>;
  readSysctl(name: string): Promise<string>;
  /** Whether it is a network namespace that exists. */
  namespaceExists(path: string): Promise<boolean>;
  /** Another plugin, as section 4 of the specification has it: one of the table in this process, else an executable along the path. */
  delegate(command: "ADD", type: string, call: CniCall): Promise<CniResult>;
  delegate(command: CniCommand, type: string, call: CniCall): Promise<CniResult | undefined>;
  /** Runs the work while nobody else has the directory's lock, in this process or in others that lock the file "lock" in it. */
  locked<T>(directory: string, work: () => Promise<T>): Promise<T>;
  /** Bytes nobody can foresee. */
  randomBytes(count: number): Uint8Array;
  sleep(ms: number): Promise<void>;
  /** Milliseconds from an arbitrary start. */
  monotonic(): number;
  /** A line for the node's log. */
  warn(message: string, details?: Readonly<Record<string, unknown>>): void;
  /** Whether this process stays when the call has been answered. */
  readonly lasting: boolean;
  /** Aborts at the call's deadline. */
  readonly signal: AbortSignal;
}

export interface InNamespace {
  /** A path. Default this process's namespace. */
  readonly netns?: string;
}

export interface IpBatch extends InNamespace {
  readonly commands: readonly IpCommand[];
  /** Values below /proc/sys that are written before, in the same namespace and process; those that are not there are left out. */
  readonly sysctls?: Readonly<Record<string, string>>;
}

/** A command without "ip", or one that may fail in a certain way: { command: "link add br0 type bridge", unless: /File exists/ }. */
export type IpCommand = string | { readonly command: string; readonly unless: RegExp };
