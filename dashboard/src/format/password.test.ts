import { expect, test } from "vitest";
import { passwordProblem } from "./password";

test.each(["correct-horse-battery-staple", "Tr0ub4dor&3x", "ñandú-océano"])("%s is fine", (password) => {
  expect(passwordProblem(password)).toBeNull();
});

test.each(["password1", "Password2024!", "11111111", "12345678", "qwertyuiop"])(
  "%s is among the first guesses",
  (password) => {
    expect(passwordProblem(password)).toContain("guess");
  },
);

test("what is too short says how much is missing, by characters and not by bytes", () => {
  expect(passwordProblem("ünïcö")).toBe("Use at least 8 characters; 3 more to go.");
  expect(passwordProblem("x".repeat(129))).toBe("Use at most 128 characters.");
});
