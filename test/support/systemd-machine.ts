// A machine that systemd runs, within this one: systemd as the first process of name spaces of its own, over a tree of control
// groups of version 2, with a system bus and, where asked for, logind. It starts nothing else, and all of it goes with its first
// process. Powering it off does nothing but say so in a file: the machine is there still.
import { spawn } from "node:child_process";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { realClock } from "../../src/base/clock.ts";
import { type Cgroups, createCgroups } from "../../src/linux/cgroups.ts";
import { findExecutable } from "../../src/linux/find-executable.ts";
import { hostFile } from "../../src/linux/host-file.ts";
import { parseMountInfo } from "../../src/linux/mounts.ts";
import { run, temporaryDirectory, until } from "./processes.ts";

const systemd = "/lib/systemd/systemd";
const logind = "/lib/systemd/systemd-logind";
const programs = ["busctl", "dbus-daemon", "unshare", "nsenter", "setpriv"];

async function unifiedTree(): Promise<string | undefined> {
  const mounts = parseMountInfo(await hostFile("/proc/self/mountinfo"));
  return mounts.find((mount) => mount.fileSystem === "cgroup2")?.mountPoint;
}

/** Why there can be no logind on it; undefined where there can. */
export async function whyNoLogind(): Promise<string | undefined> {
  const reason = await whyNoSystemd();
  return reason ?? ((await run("test", ["-x", logind])).code === 0 ? undefined : "not installed: systemd-logind");
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
mount -t tmpfs tmpfs /etc/systemd
mkdir -p /etc/systemd/logind.conf.d
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

/** Units of a machine with logind. Those of the shutdown stand before systemd's own of the same name. */
const logindUnits: Readonly<Record<string, string>> = {
  "coracle-test.target": "[Unit]\nDefaultDependencies=no\nWants=dbus.socket dbus.service systemd-logind.service\n",
  "systemd-logind.service": `[Unit]
DefaultDependencies=no
After=dbus.service
[Service]
ExecStart=${logind}
BusName=org.freedesktop.login1
RuntimeDirectory=systemd/seats systemd/users systemd/sessions systemd/inhibit systemd/shutdown
`,
  "poweroff.target": "[Unit]\nDefaultDependencies=no\nRequires=coracle-off.service\nAfter=coracle-off.service\n",
  "coracle-off.service": `[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/touch /run/coracle-off
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
  /** Its root directory, as seen from here. */
  readonly root: string;
  /** Programs of the same names that speak to this machine: busctl, systemd-inhibit. */
  readonly tools: string;
  /** Runs a command there. */
  inside(...command: readonly string[]): Promise<string>;
}

export async function startSystemdMachine(options: { readonly logind?: boolean } = {}): Promise<SystemdMachine> {
  const root = (await unifiedTree()) ?? "";
  const ownPath = process.env.PATH;
  const directory = await temporaryDirectory("systemd");
  // Of its own, also where several tests run in one process.
  const name = basename(directory.path);
  const tree = join(root, name);
  await mkdir(join(directory.path, "units"));
  for (const [unit, text] of Object.entries(options.logind ? { ...units, ...logindUnits } : units))
    await writeFile(join(directory.path, "units", unit), text);
  await writeFile(join(directory.path, "bus.conf"), busPolicy);
  await writeFile(join(directory.path, "boot.sh"), boot(directory.path));
  const controllers = (await readFile(join(root, "cgroup.controllers"), "utf8")).split(/\s+/).filter((c) => c === "hugetlb");
  const whole = createCgroups(
    { version: 2, controllers: new Map([...controllers, "unified"].map((c) => [c, root])), trees: [root] },
    { clock: realClock },
  );
  await whole.ensure(`/${name}`);
  const spaces = ["--pid", "--fork", "--kill-child", "--mount", "--cgroup", "--uts", "--ipc", "--mount-proc"];
  // It goes with the test, also with one that is killed.
  const bound = "setpriv --pdeathsig KILL";
  const script = `echo $$ > ${tree}/cgroup.procs; exec ${bound} unshare ${spaces.join(" ")} sh ${directory.path}/boot.sh`;
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
    const tools = join(directory.path, "tools");
    await mkdir(tools);
    // Who enters a process name space waits for a child, which would not end with it. Only locks are by process.
    const entered = { busctl: enter.filter((space) => space !== "-p"), "systemd-inhibit": enter };
    for (const [tool, spaces] of Object.entries(entered)) {
      // By its path: these may come first where programs are looked for.
      const path = (await findExecutable(tool)) ?? tool;
      await writeFile(join(tools, tool), `#!/bin/sh\nexec nsenter ${spaces.join(" ")} ${path} "$@"\n`);
      await chmod(join(tools, tool), 0o755);
    }
    const busctl = join(tools, "busctl");
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
      ...{ busctl, tools, root: `/proc/${pid}/root`, tree, controllers, cgroups: createCgroups(system, { clock: realClock }) },
      async inside(...command) {
        const { stdout, stderr } = await run("nsenter", [...enter, ...command], { env: { PATH: ownPath } });
        return stdout + stderr;
      },
      [Symbol.asyncDispose]: end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}
