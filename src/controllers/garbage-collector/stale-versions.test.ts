import { expect, it } from "vitest";
import { StaleVersions } from "./stale-versions.ts";

it("StaleVersions tells of what stays away, once, and again when it has been back", () => {
  const versions = new StaleVersions();
  const [metrics, other] = ["metrics.k8s.io/v1beta1", "example.com/v1"];
  const at = (seconds: number, ...stale: string[]): readonly string[] => versions.news(stale, seconds * 1000);
  expect(at(0, metrics)).toEqual([]);
  expect(at(30, metrics)).toEqual([]);
  expect(at(60)).toEqual([]);
  expect(at(90, metrics, other)).toEqual([]);
  expect(at(210, metrics, other)).toEqual([metrics, other]);
  expect(at(240, metrics, other)).toEqual([]);
  expect(at(270, other)).toEqual([]);
  expect(at(300, metrics, other)).toEqual([]);
  expect(at(420, metrics, other)).toEqual([metrics]);
});
