// What the benches that start a server of their own have in common: options, figures, the server's process, work spread over
// connections.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";

/** Prints a figure as a line of JSON. */
export const say = (figure, value, unit, more = {}) => console.log(JSON.stringify({ figure, value: rounded(value), unit, ...more }));

export const rounded = (value) => Math.round((value ?? 0) * 100) / 100;

/** The shares of a list of times that are worth a look, in the unit of the times. */
export function shares(times) {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share) => rounded(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]);
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), most: rounded(sorted.at(-1)), count: sorted.length };
}

/** `--name value` pairs over `defaults`; numbers stay numbers. Throws on a name that has no default. */
export function optionsOf(args, defaults) {
  const options = { ...defaults };
  for (let i = 0; i < args.length; i += 2) {
    const name = args[i].replace(/^--/, "");
    if (!(name in options) || args[i + 1] === undefined) throw new Error(`unknown option ${args[i]}, or without a value`);
    const isNumber = typeof options[name] === "number";
    const value = isNumber ? Number(args[i + 1]) : args[i + 1];
    if (Number.isNaN(value)) throw new Error(`${args[i]} ${args[i + 1]}: a number was expected`);
    options[name] = value;
  }
  return options;
}

/** `work(worker, i)` for all i below `count`, by so many workers at once; resolves with the seconds it took. */
export async function spread(count, workers, work) {
  const began = performance.now();
  let next = 0;
  const loop = async (worker) => {
    for (let i = next++; i < count; i = next++) await work(worker, i);
  };
  await Promise.all(Array.from({ length: workers }, (_, worker) => loop(worker)));
  return (performance.now() - began) / 1000;
}

/** A process's memory (RSS) now and at its most, in MB. */
export function memoryOf(pid) {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const of = (name) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) / 1024;
  return { now: of("VmRSS"), most: of("VmHWM") };
}

/** The processor time of a process's main thread, in milliseconds. */
export const mainThreadMs = (pid) => Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, "utf8").split(" ")[0]) / 1e6;

/** Starts node with these arguments; `port` is that of the first https address it prints. */
export function startServer(args) {
  const began = performance.now();
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const stop = async () => {
    child.kill();
    await ended;
  };
  const port = new Promise((resolve, reject) => {
    child.stdout.on("data", (text) => {
      const found = /https:\/\/[^:\s]+:(\d+)/.exec(String(text))?.[1];
      if (found) resolve(Number(found));
    });
    void ended.then(() => reject(new Error("the server has ended")));
  });
  return { pid: child.pid, port, stop, began };
}
