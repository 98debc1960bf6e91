// Everything a fresh clone needs before Coracle can run, each step announced before it is done and skipped when it is
// not needed: npm dependencies, the build, and (root on a system with apt) the missing system packages.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = new URL("..", import.meta.url).pathname;

/** System packages by what they are needed for: `found` says whether the machine has it already. */
const onPath = (name) =>
  [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/sbin", "/usr/local/sbin"].some(
    (dir) => dir !== "" && existsSync(join(dir, name)),
  );
const cniPlugin = (name) => ["/opt/cni/bin", "/usr/lib/cni"].some((dir) => existsSync(join(dir, name)));
/** Among the gems that Debian's packages hold. */
const hasGem = (name) => {
  const gems = "/usr/share/rubygems-integration/all/gems";
  return existsSync(gems) && readdirSync(gems).some((gem) => gem.startsWith(`${name}-`));
};
export const nodePackages = [
  { name: "containerd", why: "runs containers", found: () => onPath("containerd") },
  { name: "runc", why: "starts them", found: () => onPath("runc") },
  { name: "crun", why: "starts them faster", found: () => onPath("crun"), optional: true },
  { name: "nftables", why: "packet rules", found: () => onPath("nft") },
  { name: "conntrack", why: "ends connections to endpoints that are gone", found: () => onPath("conntrack") },
  { name: "iproute2", why: "network devices", found: () => onPath("ip") },
  { name: "perl-base", why: "carries packets between nodes whose kernel has no VXLAN", found: () => onPath("perl"), optional: true },
];
/** Where --pod-network routed is asked for. */
export const routedPackages = [
  { name: "bird2", why: "exchanges the routes of a routed pod network", found: () => onPath("bird") && onPath("birdc"), service: "bird" },
];
export const testPackages = [
  ...routedPackages,
  { name: "kubernetes-client", why: "kubectl, for the tests", found: () => onPath("kubectl") },
  {
    name: "containernetworking-plugins",
    why: "CNI plugins that the tests compare ours with (and those of --cni-plugins system)",
    found: () => cniPlugin("bridge") && cniPlugin("portmap"),
  },
  { name: "iptables", why: "what those plugins call", found: () => onPath("iptables") },
  { name: "busybox-static", why: "container images for the tests", found: () => onPath("busybox") },
  { name: "openssl", why: "checks certificates in the tests", found: () => onPath("openssl") },
  { name: "etcd-server", why: "the store of several API servers, for the tests", found: () => onPath("etcd") },
  {
    name: "systemd",
    why: "its control groups and shutdowns, in name spaces of the tests' own",
    found: () => existsSync("/lib/systemd/systemd-logind"),
    optional: true,
  },
  { name: "dbus", why: "the bus that systemd speaks on there", found: () => onPath("dbus-daemon"), optional: true },
  { name: "curl", why: "an HTTP client for the tests", found: () => onPath("curl") },
  {
    name: "python3-kubernetes",
    why: "a client for the tests",
    found: () => existsSync("/usr/lib/python3/dist-packages/kubernetes"),
    optional: true,
  },
  {
    name: "ruby-kubeclient",
    why: "another client for the tests",
    found: () => hasGem("kubeclient"),
    optional: true,
  },
];

const say = (text) => process.stderr.write(`${text}\n`);

function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2], ...options });
  if (result.error) throw new Error(`${command}: ${result.error.message}`);
  if (result.status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${result.status ?? result.signal}`);
}

/** Whether node_modules holds every version that package-lock.json names (optional packages of other platforms aside). */
function dependenciesAreInstalled() {
  const installedFile = join(root, "node_modules/.package-lock.json");
  if (!existsSync(installedFile)) return false;
  const packages = (file) => JSON.parse(readFileSync(file, "utf8")).packages ?? {};
  const installed = packages(installedFile);
  return Object.entries(packages(join(root, "package-lock.json"))).every(
    ([path, wanted]) => path === "" || wanted.optional === true || installed[path]?.version === wanted.version,
  );
}

/** Installs npm dependencies where there are none, or others than package-lock.json names. */
export function ensureDependencies() {
  if (dependenciesAreInstalled()) return;
  say("setup: installing npm dependencies");
  // Not `npm ci`: it refuses a lock file that was made where the optional packages of other platforms could not be had.
  run("npm", ["install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"]);
}

/** Whether the build is older than what it is made from. */
export function buildIsStale() {
  const built = join(root, "dist/coracle.js");
  if (!existsSync(built)) return true;
  const { mtimeMs } = statSync(built);
  const newer = (dir) =>
    readdirSync(dir, { withFileTypes: true }).some((entry) => {
      const path = join(dir, entry.name);
      return entry.isDirectory() ? newer(path) : !entry.name.endsWith(".test.ts") && statSync(path).mtimeMs > mtimeMs;
    });
  return newer(join(root, "src")) || ["package-lock.json", "scripts/build.mjs"].some((f) => statSync(join(root, f)).mtimeMs > mtimeMs);
}

export function ensureBuilt() {
  if (!buildIsStale()) return;
  say("setup: building (scripts/build.mjs)");
  run(process.execPath, [join(root, "scripts/build.mjs")]);
}

/**
 * Installs missing system packages by apt. Without root, apt, or with `install: false`, it says what is missing and
 * gives back the names of those that are not optional; the caller decides whether it can go on.
 */
export function ensureSystemPackages(packages, { install = true } = {}) {
  const missing = packages.filter((p) => !p.found());
  if (missing.length === 0) return [];
  const names = missing.map((p) => p.name);
  if (process.platform !== "linux" || process.getuid?.() !== 0 || !onPath("apt-get") || !install) {
    const reason = !install
      ? "--no-install was given"
      : process.platform !== "linux"
        ? "this is not Linux"
        : process.getuid?.() !== 0
          ? "not running as root"
          : "there is no apt-get";
    say(`setup: missing, and not installed because ${reason}: ${missing.map((p) => `${p.name} (${p.why})`).join(", ")}`);
    return missing.filter((p) => !p.optional).map((p) => p.name);
  }
  for (const p of missing) say(`setup: installing the system package ${p.name}: ${p.why}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  run("apt-get", ["update", "-qq"], { env });
  const services = missing.flatMap((p) => p.service ?? []);
  withoutStarting(services, () =>
    run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...names], { env, stdio: ["ignore", "ignore", 2] }),
  );
  const still = missing.filter((p) => !p.found()).map((p) => p.name);
  if (still.length > 0) throw new Error(`installed, but not found afterwards: ${still.join(", ")}`);
  return [];
}

/** Debian starts what it installs, now and at every boot: not those services whose programs we run ourselves. */
function withoutStarting(services, install) {
  if (services.length === 0) return install();
  const policy = "/usr/sbin/policy-rc.d";
  const isOurs = !existsSync(policy);
  if (isOurs) writeFileSync(policy, `#!/bin/sh\ncase "$1" in ${services.join("|")}) exit 101 ;; esac\nexit 0\n`, { mode: 0o755 });
  try {
    install();
  } finally {
    if (isOurs) rmSync(policy, { force: true });
  }
  // Without systemd there is nothing that would start them.
  for (const service of services) if (onPath("systemctl")) spawnSync("systemctl", ["disable", "--now", service], { stdio: "ignore" });
}
