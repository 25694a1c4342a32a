import { describe, expect, test } from "vitest";
import { costNanos, formatNanos, formatRoundly, formatUsd, parseUsd, percentOf, sumUsd } from "./money";

describe("amounts", () => {
  test.each([
    ["0", 0n],
    ["0.00", 0n],
    ["11.00", 11_000_000_000n],
    ["-3.5", -3_500_000_000n],
    ["0.000000001", 1n],
    ["-0.0000041", -4_100n],
    ["90071992547409.930000001", 90_071_992_547_409_930_000_001n],
  ])("%s is read to the nano-dollar", (text, nanos) => {
    expect(parseUsd(text)).toBe(nanos);
  });

  test.each(["", "1e3", "NaN", "1,000", "$1", "0.0000000001", ".5", "--1"])("%j is refused", (text) => {
    expect(() => parseUsd(text)).toThrow(RangeError);
  });

  test.each([
    ["0", "$0.00"],
    ["11.0", "$11.00"],
    ["-3.5", "-$3.50"],
    ["1234567.89", "$1,234,567.89"],
    ["0.0000041", "$0.0000041"],
    ["0.000000001", "$0.000000001"],
  ])("%s is shown as %s", (text, shown) => {
    expect(formatUsd(text)).toBe(shown);
  });

  test("a sum of thirds of a cent loses nothing", () => {
    expect(sumUsd(["0.003333333", "0.003333333", "0.003333334"])).toBe(10_000_000n);
  });
});

test.each([
  [12_345_678_901n, "$12.34"],
  [-12_345_678_901n, "-$12.34"],
  [123_456_789n, "$0.12"],
  [4_123n, "$0.0000041"],
  [999_999_999n, "$0.99"],
  [7n, "$0.000000007"],
  [0n, "$0.00"],
])("%s nano-dollars are roughly %s", (nanos, shown) => {
  expect(formatRoundly(nanos)).toBe(shown);
});

test("exact amounts keep every digit", () => {
  expect(formatNanos(1_000_000_001n)).toBe("$1.000000001");
});

test("a cost is rounded up once, over all classes of tokens", () => {
  expect(
    costNanos([
      [26, "0.100000"],
      [5, "0.300000"],
    ]),
  ).toBe(4_100n);
  expect(
    costNanos([
      [1, "0.000001"],
      [1, "0.000001"],
    ]),
  ).toBe(1n);
});

test.each([
  [5n, 10n, 50],
  [20n, 10n, 100],
  [-1n, 10n, 0],
  [1n, 0n, 100],
  [0n, 0n, 0],
])("%s of %s is %s percent", (part, whole, percent) => {
  expect(percentOf(part, whole)).toBe(percent);
});
