import { expect, test } from "vitest";
import { configmaps } from "../api/resources.generated.ts";
import { VirtualClock } from "../base/clock.ts";
import { MetricsRegistry } from "../base/metrics.ts";
import { createFakeApi } from "../testing/fake-api.ts";
import { countedClient } from "./counted-client.ts";
import { createClient } from "./create-client.ts";

test("countedClient() counts calls by method and status, and hands answers and failures on", async () => {
  const clock = new VirtualClock();
  const metrics = new MetricsRegistry();
  const api = createFakeApi(clock);
  const client = countedClient(createClient(api), { metrics, clock, host: "h:6443" });
  const at = { namespace: "n", name: "a" };
  await client.create(configmaps, { metadata: at, data: { k: "v" } });
  expect((await client.get(configmaps, at)).data).toEqual({ k: "v" });
  await expect(client.get(configmaps, { ...at, name: "b" })).rejects.toMatchObject({ reason: "NotFound" });
  api.intercept = () => {
    throw new Error("connection refused");
  };
  await expect(client.list(configmaps)).rejects.toThrow("connection refused");
  const text = metrics.text();
  expect(text).toContain('rest_client_requests_total{code="201",host="h:6443",method="POST"} 1\n');
  expect(text).toContain('rest_client_requests_total{code="200",host="h:6443",method="GET"} 1\n');
  expect(text).toContain('rest_client_requests_total{code="404",host="h:6443",method="GET"} 1\n');
  expect(text).toContain('rest_client_requests_total{code="<error>",host="h:6443",method="GET"} 1\n');
  expect(text).toContain('rest_client_request_duration_seconds_count{verb="GET",host="h:6443"} 3\n');
});
