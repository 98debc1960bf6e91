#!/usr/bin/env node
// Asks an HTTP server for "/" at a given rate, each time over a connection of its own, whether the answers come or not, and prints
// what became of the requests as one line of JSON. The rate is kept by the clock, not by the answers: a server that stalls meets
// the requests that were due meanwhile, as it would meet its users.
//
//   node test/bench/connection-load.mjs --host 10.96.0.10 --port 80 [--rate 1000] [--seconds 10] [--processes 2]
//        [--connections 32] [--keep-alive] [--timeout 5000]
//
// Without --rate: as fast as --connections at a time can. --keep-alive asks over and over on the same connections. SIGTERM ends it
// before its time, and prints the same.
import { fork } from "node:child_process";
import { connect } from "node:net";
import { parseArgs } from "node:util";

const flag = (value) => ({ type: "string", default: value });
const { values } = parseArgs({
  options: {
    ...{ host: flag("127.0.0.1"), port: flag("80"), rate: flag("0"), seconds: flag("10"), processes: flag("2") },
    ...{ connections: flag("32"), timeout: flag("5000"), "keep-alive": { type: "boolean", default: false } },
  },
});
const options = Object.fromEntries(["port", "rate", "seconds", "processes", "connections", "timeout"].map((n) => [n, Number(values[n])]));

/** Beyond these a process does not ask: they count as failed. */
const maxInFlight = 4_000;
/** Of this width are the counters of times, in ms. */
const stepMs = 0.25;
const steps = 60_000;

const isWorker = process.send !== undefined;
if (isWorker) work();
else await lead();

function work() {
  const share = options.processes;
  const result = { sent: 0, answered: 0, failed: {}, answers: {}, times: new Map() };
  const count = (into, key) => {
    into[key] = (into[key] ?? 0) + 1;
  };
  const done = (startMs, outcome) => {
    if (outcome.failure) return count(result.failed, outcome.failure);
    result.answered++;
    count(result.answers, outcome.text);
    const step = Math.min(steps, Math.round((performance.now() - startMs) / stepMs));
    result.times.set(step, (result.times.get(step) ?? 0) + 1);
  };
  let inFlight = 0;
  let isOver = false;
  const end = () => {
    isOver = true;
    const wait = setInterval(() => {
      if (inFlight > 0) return;
      clearInterval(wait);
      process.send({ ...result, times: [...result.times] }, () => process.disconnect());
    }, 20);
  };
  process.once("message", end); // the lead's word for the end
  const endsAtMs = performance.now() + options.seconds * 1_000;

  const once = (then) => {
    result.sent++;
    inFlight++;
    const startMs = performance.now();
    ask((outcome) => {
      inFlight--;
      done(startMs, outcome);
      then?.();
    });
  };
  if (options.rate > 0) {
    const startMs = performance.now();
    let asked = 0;
    const timer = setInterval(() => {
      const nowMs = performance.now();
      if (isOver || nowMs >= endsAtMs) {
        clearInterval(timer);
        if (!isOver) end();
        return;
      }
      for (const due = ((nowMs - startMs) / 1_000) * (options.rate / share); asked < due; asked++) {
        if (inFlight < maxInFlight) once();
        else count(result.failed, "not sent");
      }
    }, 4);
    return;
  }
  const loop = values["keep-alive"]
    ? () =>
        keepAsking(
          done,
          () => isOver || performance.now() >= endsAtMs,
          (n) => (inFlight += n),
          result,
        )
    : () => once(() => (performance.now() < endsAtMs && !isOver ? loop() : undefined));
  for (let i = 0; i < Math.ceil(options.connections / share); i++) loop();
  setTimeout(() => isOver || end(), options.seconds * 1_000);
}

/** One request on a connection of its own. A failure is the system's code, "timeout", or what is wrong with the answer. */
function ask(finish) {
  const socket = connect({ host: values.host, port: options.port });
  let text = "";
  let isOver = false;
  const over = (outcome) => {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    socket.destroy();
    finish(outcome);
  };
  const timer = setTimeout(() => over({ failure: "timeout" }), options.timeout);
  socket.on("connect", () => socket.write(`GET / HTTP/1.0\r\nhost: ${values.host}\r\n\r\n`));
  socket.on("data", (chunk) => {
    text += chunk;
  });
  socket.on("error", (error) => over({ failure: error.code ?? error.message }));
  socket.on("close", () => over(outcomeOf(text)));
}

function outcomeOf(text) {
  const [head, body] = text.split("\r\n\r\n");
  if (body === undefined) return { failure: text === "" ? "closed without an answer" : "half an answer" };
  if (!/^HTTP\/1\.[01] 200 /.test(head)) return { failure: head.split("\r\n")[0] };
  return { text: body.trim() };
}

/** Requests one after the other on one connection; the answers say their length. */
function keepAsking(done, isOver, hold, result) {
  const socket = connect({ host: values.host, port: options.port, noDelay: true });
  let text = "";
  let startMs = 0;
  const next = () => {
    if (isOver()) {
      hold(-1);
      return socket.destroy();
    }
    startMs = performance.now();
    result.sent++;
    socket.write(`GET / HTTP/1.1\r\nhost: ${values.host}\r\n\r\n`);
  };
  hold(1);
  socket.on("connect", next);
  socket.on("data", (chunk) => {
    text += chunk;
    const at = text.indexOf("\r\n\r\n");
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
    if (at < 0 || text.length < at + 4 + length) return;
    done(startMs, outcomeOf(text));
    text = "";
    next();
  });
  socket.on("error", (error) => {
    hold(-1);
    done(startMs, { failure: error.code ?? error.message });
  });
}

async function lead() {
  const startMs = performance.now();
  const children = Array.from({ length: options.processes }, () => fork(process.argv[1], process.argv.slice(2)));
  process.on("SIGTERM", () => {
    for (const child of children) if (child.connected) child.send("end");
  });
  const results = await Promise.all(
    children.map((child) => new Promise((resolve, reject) => child.once("message", resolve).once("error", reject))),
  );
  const seconds = (performance.now() - startMs) / 1_000;
  const sum = (name) => results.reduce((total, result) => total + result[name], 0);
  const merged = (name) => {
    const all = {};
    for (const result of results) for (const [key, n] of Object.entries(result[name])) all[key] = (all[key] ?? 0) + n;
    return all;
  };
  const times = results.flatMap((result) => result.times).sort(([a], [b]) => a - b);
  const answered = sum("answered");
  const at = (part) => {
    let seen = 0;
    for (const [step, n] of times) if ((seen += n) >= answered * part) return step * stepMs;
    return 0;
  };
  const latencyMs = { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) };
  const perSecond = Math.round(answered / Math.min(seconds, options.seconds));
  console.log(JSON.stringify({ sent: sum("sent"), answered, perSecond, failed: merged("failed"), latencyMs, answers: merged("answers") }));
}
