import { expect, test } from "vitest";
import { agentOf } from "./user-agent";

const WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)";

test.each([
  [`Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${WEBKIT} Chrome/142.0.0.0 Safari/537.36`, "Chrome on Windows"],
  [
    `Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${WEBKIT} Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0`,
    "Edge on Windows",
  ],
  [`Mozilla/5.0 (X11; Linux x86_64) ${WEBKIT} HeadlessChrome/142.0.0.0 Safari/537.36`, "Chrome on Linux"],
  [`Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) ${WEBKIT} Chrome/142.0.0.0 Safari/537.36`, "Chrome on ChromeOS"],
  [`Mozilla/5.0 (X11; Linux x86_64) ${WEBKIT} Chrome/141.0.0.0 Safari/537.36 OPR/125.0.0.0`, "Opera on Linux"],
  ["Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:144.0) Gecko/20100101 Firefox/144.0", "Firefox on macOS"],
  [
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15",
    "Safari on macOS",
  ],
])("%s is the desktop's %s", (userAgent, name) => {
  expect(agentOf(userAgent)).toEqual({ name, kind: "desktop" });
});

test.each([
  [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1",
    "Safari on iPhone",
  ],
  [
    "Mozilla/5.0 (iPad; CPU OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.0.0 Mobile/15E148 Safari/604.1",
    "Chrome on iPad",
  ],
  [`Mozilla/5.0 (Linux; Android 10; K) ${WEBKIT} Chrome/142.0.0.0 Mobile Safari/537.36`, "Chrome on Android"],
  [
    `Mozilla/5.0 (Linux; Android 10; K) ${WEBKIT} SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36`,
    "Samsung Internet on Android",
  ],
  ["Mozilla/5.0 (Android 15; Mobile; rv:144.0) Gecko/144.0 Firefox/144.0", "Firefox on Android"],
])("%s is the phone's %s", (userAgent, name) => {
  expect(agentOf(userAgent)).toEqual({ name, kind: "phone" });
});

test.each([
  ["curl/8.5.0", "curl"],
  ["python-httpx/0.28.1", "python-httpx"],
  ["PostmanRuntime/7.49", "PostmanRuntime"],
  ["  my tool", "my"],
  ["<b>/1.0", "<b>"],
  ["", "An unknown program"],
  ["(nobody)", "An unknown program"],
])("%j is no browser but %s", (userAgent, name) => {
  expect(agentOf(userAgent)).toEqual({ name, kind: "program" });
});

test("a browser that we don't know is still one", () => {
  expect(agentOf("Mozilla/5.0 (X11; Linux x86_64) Ladybird/1.0")).toEqual({
    name: "A browser on Linux",
    kind: "desktop",
  });
  expect(agentOf("Mozilla/5.0")).toEqual({ name: "A browser", kind: "desktop" });
});
