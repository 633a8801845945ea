import { describe, expect, it } from "vitest";

import { ago, bytes, duration, inUnit, number, percent, span } from "./format";
import { type Translate, translate } from "./i18n";

const t: Translate = (key, args) => translate("en", key, args);
const zh: Translate = (key, args) => translate("zh-CN", key, args);

describe("lengths of time", () => {
  it.each([
    [-5_000, "0 s"],
    [0, "0 s"],
    [59_999, "59 s"],
    [60_000, "1 min"],
    [192_000, "3 min 12 s"],
    [599_000, "9 min 59 s"],
    [611_000, "10 min"],
    [3_600_000, "1 h"],
    [3_660_000, "1 h 1 min"],
    [86_400_000, "1 d"],
    [100_800_000, "1 d 4 h"],
  ])("%d ms is %s", (ms, expected) => {
    expect(duration(ms, t)).toBe(expected);
  });

  it("keep a fraction while they are short", () => {
    expect(span(412, "en", t)).toBe("0.41 s");
    expect(span(12_000, "en", t)).toBe("12 s");
    expect(span(61_000, "en", t)).toBe("1 min 1 s");
  });

  it("tell how long ago", () => {
    expect(ago(1_000_000, 1_000_900, t)).toBe("just now");
    expect(ago(1_000_000, 1_012_000, t)).toBe("12 s ago");
    expect(ago(1_180_000, 1_000_000, t)).toBe("in 3 min");
    expect(ago(1_000_000, 1_012_000, zh)).toBe("12 秒前");
  });
});

describe("numbers", () => {
  it.each([
    [0, "0"],
    [0.01234, "0.012"],
    [1.234, "1.23"],
    [12.34, "12.3"],
    [1234.5, "1,235"],
    [Number.NaN, "–"],
    [Infinity, "–"],
  ])("%d is %s", (value, expected) => {
    expect(number(value, "en")).toBe(expected);
  });

  it.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1 KiB"],
    [1536, "1.5 KiB"],
    [5.5 * 1024 ** 3, "5.5 GiB"],
    [2 ** 60, "1,024 PiB"],
    [Number.NaN, "–"],
  ])("%d bytes are %s", (value, expected) => {
    expect(bytes(value, "en")).toBe(expected);
  });

  it.each([
    [0, "0 %"],
    [0.004, "0.4 %"],
    [0.12, "12 %"],
    [2.5, "250 %"],
  ])("a share of %d is %s", (value, expected) => {
    expect(percent(value, "en")).toBe(expected);
  });

  it("carry their unit", () => {
    expect(inUnit(2048, "bytes_per_second", "en")).toBe("2 KiB/s");
    expect(inUnit(3, "per_second", "en")).toBe("3/s");
    expect(inUnit(null, "bytes", "en")).toBe("–");
  });
});
