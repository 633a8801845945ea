import { describe, expect, it } from "vitest";

import { axisLabels, commonUnit, compact, inAxisUnit, seconds, unitOf } from "./units";

describe("the unit of an expression", () => {
  it.each([
    ["node_memory_MemFree_bytes", "bytes"],
    ["sum by (device) (rate(node_network_receive_bytes_total[5m]))", "bytes_per_second"],
    ["rate(node_cpu_seconds_total[5m])", "share"],
    ["rate(http_requests_total[5m])", "per_second"],
    ["increase(http_requests_total[1h])", "plain"],
    ["histogram_quantile(0.9, sum by (le) (rate(http_duration_seconds_bucket[5m])))", "seconds"],
    ["rate(x_seconds_sum[5m]) / rate(x_seconds_count[5m])", "seconds"],
    ["node_filesystem_avail_bytes / node_filesystem_size_bytes", "share"],
    ["a_bytes / b_total", "plain"],
    ["8 * a_bytes", "plain"],
    ["time() - node_boot_time_seconds", "seconds"],
    ["node_boot_time_seconds", "plain"],
    ["count by (job) (a_bytes)", "plain"],
    ['up{x="rate(a_bytes)"}', "plain"],
    ["up", "plain"],
  ])("%s: %s", (expr, unit) => {
    expect(unitOf(expr)).toBe(unit);
  });

  it("is common to several only when they agree", () => {
    expect(commonUnit(["a_bytes", "b_bytes"])).toBe("bytes");
    expect(commonUnit(["a_bytes", "up"])).toBe("plain");
    expect(commonUnit([])).toBe("plain");
  });
});

describe("values", () => {
  it.each([
    [0, "0"],
    [0.012345, "0.0123"],
    [1.5e-7, "1.5e-7"],
    [1234, "1,234"],
    [1_234_567, "1.23M"],
    [-42.25, "-42.3"],
    [4e20, "4e20"],
  ])("%d is %s", (value, text) => {
    expect(compact(value, "en")).toBe(text);
  });

  it.each([
    [0, "0 s"],
    [0.25, "250 ms"],
    [3.2e-5, "32 µs"],
    [90, "90 s"],
    [7200, "2 h"],
    [-300, "-5 min"],
  ])("%d seconds are %s", (value, text) => {
    expect(seconds(value, "en")).toBe(text);
  });

  it("that are no numbers are named", () => {
    expect([Number.NaN, Infinity, -Infinity, null, undefined].map((value) => inAxisUnit(value, "bytes", "en"))).toEqual(["NaN", "+Inf", "-Inf", "–", "–"]);
  });
});

describe("the labels of an axis", () => {
  it("are told apart by more digits where three are not enough", () => {
    expect(axisLabels([1_000_100, 1_000_200, 1_000_300], "plain", "en")).toEqual(["1.0001M", "1.0002M", "1.0003M"]);
    expect(axisLabels([0, 0.5, 1], "plain", "en")).toEqual(["0", "0.5", "1"]);
  });
});
