import { describe, expect, it } from "vitest";
import { realClock } from "./clock.ts";
import { MetricsRegistry } from "./metrics.ts";
import { registerProcessMetrics } from "./process-metrics.ts";

describe("MetricsRegistry", () => {
  it("writes counters and gauges with escaped labels", () => {
    const metrics = new MetricsRegistry();
    const requests = metrics.counter("requests_total", "Requests.", ["verb", "path"]);
    requests.series("get", 'a"b\\c').add();
    requests.series("get", 'a"b\\c').add(2);
    metrics.gauge("inflight", "Now.").series().set(7);
    expect(metrics.text()).toBe(
      [
        "# HELP inflight Now.",
        "# TYPE inflight gauge",
        "inflight 7",
        "# HELP requests_total Requests.",
        "# TYPE requests_total counter",
        'requests_total{verb="get",path="a\\"b\\\\c"} 3',
        "",
      ].join("\n"),
    );
  });

  it("cumulates the buckets of a histogram", () => {
    const metrics = new MetricsRegistry();
    const seconds = metrics.histogram("seconds", "Durations.", { labels: ["verb"], buckets: [0.1, 1] });
    for (const value of [0.05, 0.1, 0.5, 30]) seconds.series("get").observe(value);
    expect(metrics.text()).toContain(
      ['seconds_bucket{verb="get",le="0.1"} 2', 'seconds_bucket{verb="get",le="1"} 3', 'seconds_bucket{verb="get",le="+Inf"} 4'].join("\n"),
    );
    expect(metrics.text()).toContain('seconds_count{verb="get"} 4');
  });

  it("bounds the number of series and counts the rest as other", () => {
    const metrics = new MetricsRegistry();
    const requests = metrics.counter("requests_total", "Requests.", ["path"]);
    for (let i = 0; i < 5002; i++) requests.series(`/${i}`).add();
    expect(metrics.text()).toContain('requests_total{path="other"} 2');
  });

  it("exports what Prometheus clients say of their process", () => {
    const metrics = new MetricsRegistry();
    registerProcessMetrics(metrics, realClock);
    const value = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(metrics.text())?.[1]);
    expect(value("process_resident_memory_bytes")).toBeGreaterThan(1e6);
    expect(value("process_cpu_seconds_total")).toBeGreaterThan(0);
    expect(Math.abs(value("process_start_time_seconds") - Date.now() / 1000)).toBeLessThan(600);
  });

  it("asks collectors before each scrape and refuses a name twice", () => {
    const metrics = new MetricsRegistry();
    const gauge = metrics.gauge("age", "Age.").series();
    let age = 0;
    metrics.beforeScrape(() => gauge.set(++age));
    expect(metrics.text()).toContain("age 1");
    expect(metrics.text()).toContain("age 2");
    expect(() => metrics.gauge("age", "Again.")).toThrow(/registered twice/);
  });
});
