// A machine that systemd runs, within this one: systemd as the first process of name spaces of its own, over a tree of control
// groups of version 2, with a system bus. It starts nothing else, and all of it goes with its first process.
import { spawn } from "node:child_process";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { realClock } from "../../src/base/clock.ts";
import { type Cgroups, createCgroups } from "../../src/linux/cgroups.ts";
import { findExecutable } from "../../src/linux/find-executable.ts";
import { hostFile } from "../../src/linux/host-file.ts";
import { parseMountInfo } from "../../src/linux/mounts.ts";
import { run, temporaryDirectory, until } from "./processes.ts";

const systemd = "/lib/systemd/systemd";
const programs = ["busctl", "dbus-daemon", "unshare", "nsenter"];

async function unifiedTree(): Promise<string | undefined> {
  const mounts = parseMountInfo(await hostFile("/proc/self/mountinfo"));
  return mounts.find((mount) => mount.fileSystem === "cgroup2")?.mountPoint;
}

/** Why there can be none here; undefined where there can. */
export async function whyNoSystemd(): Promise<string | undefined> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "it needs Linux and root";
  const found = await Promise.all(programs.map(findExecutable));
  const missing = programs.filter((_, i) => found[i] === undefined);
  if ((await hostFile(systemd)) === "" && missing.length === 0 && (await run("test", ["-x", systemd])).code !== 0) missing.push("systemd");
  if (missing.length > 0) return `not installed: ${missing.join(", ")}`;
  return (await unifiedTree()) === undefined ? "no tree of version 2 is mounted" : undefined;
}

const busPolicy = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>`;

/** What is mounted here is seen in its own name space alone. */
const boot = (directory: string): string => `set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/dbus
umount -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
cp ${directory}/bus.conf /run/dbus/bus.conf
cp ${directory}/units/* /run/systemd/system/
container=coracle-test exec ${systemd} --system --unit=coracle-test.target --log-target=null --show-status=no
`;

const units: Readonly<Record<string, string>> = {
  "coracle-test.target": "[Unit]\nDefaultDependencies=no\nWants=dbus.socket dbus.service\n",
  "dbus.socket": "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/dbus/system_bus_socket\n",
  "dbus.service": `[Unit]
DefaultDependencies=no
Requires=dbus.socket
[Service]
ExecStart=/usr/bin/dbus-daemon --config-file=/run/dbus/bus.conf --address=systemd: --nofork --nopidfile --systemd-activation
`,
};

export interface SystemdMachine extends AsyncDisposable {
  /** Speaks to this systemd. */
  readonly busctl: string;
  /** The groups of this machine. */
  readonly cgroups: Cgroups;
  /** Where their files are. */
  readonly tree: string;
  readonly controllers: readonly string[];
  /** Runs a command there. */
  inside(...command: readonly string[]): Promise<string>;
}

export async function startSystemdMachine(): Promise<SystemdMachine> {
  const root = (await unifiedTree()) ?? "";
  const name = `coracle-systemd-${process.pid}`;
  const tree = join(root, name);
  const directory = await temporaryDirectory("systemd");
  await mkdir(join(directory.path, "units"));
  for (const [unit, text] of Object.entries(units)) await writeFile(join(directory.path, "units", unit), text);
  await writeFile(join(directory.path, "bus.conf"), busPolicy);
  await writeFile(join(directory.path, "boot.sh"), boot(directory.path));
  const controllers = (await readFile(join(root, "cgroup.controllers"), "utf8")).split(/\s+/).filter((c) => c === "hugetlb");
  const whole = createCgroups(
    { version: 2, controllers: new Map([...controllers, "unified"].map((c) => [c, root])), trees: [root] },
    { clock: realClock },
  );
  await whole.ensure(`/${name}`);
  const spaces = ["--pid", "--fork", "--kill-child", "--mount", "--cgroup", "--uts", "--ipc", "--mount-proc"];
  const script = `echo $$ > ${tree}/cgroup.procs; exec unshare ${spaces.join(" ")} sh ${directory.path}/boot.sh`;
  const child = spawn("sh", ["-c", script], { stdio: "ignore" });
  const end = async (): Promise<void> => {
    child.kill("SIGKILL");
    await whole.remove(`/${name}`);
    await directory.remove();
  };
  try {
    const pid = await until(
      "systemd runs",
      async () => (await hostFile(`/proc/${child.pid}/task/${child.pid}/children`)).trim() || undefined,
    );
    // Who started it is none of its processes.
    await writeFile(join(root, "cgroup.procs"), String(child.pid));
    const enter = ["-t", pid, "-p", "-m", "-C", "-u", "-i"];
    const busctl = join(directory.path, "busctl");
    await writeFile(busctl, `#!/bin/sh\nexec nsenter ${enter.join(" ")} busctl "$@"\n`);
    await chmod(busctl, 0o755);
    const answers = [
      "call",
      "org.freedesktop.systemd1",
      "/org/freedesktop/systemd1",
      "org.freedesktop.systemd1.Manager",
      "GetUnit",
      "s",
      "dbus.service",
    ];
    await until("systemd is on its bus", async () => (await run(busctl, answers)).code === 0);
    const system = { version: 2 as const, controllers: new Map([...controllers, "unified"].map((c) => [c, tree])), trees: [tree] };
    return {
      ...{ busctl, tree, controllers, cgroups: createCgroups(system, { clock: realClock }) },
      async inside(...command) {
        const { stdout, stderr } = await run("nsenter", [...enter, ...command]);
        return stdout + stderr;
      },
      [Symbol.asyncDispose]: end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}
