/** What a program calls itself (its User-Agent), in plain words. */

// The first that matches wins: every later browser calls itself by the names of earlier ones as well.
const BROWSERS: readonly (readonly [RegExp, string])[] = [
  [/\bEdg(e|A|iOS)?\//, "Edge"],
  [/\b(OPR|Opera)\//, "Opera"],
  [/\bVivaldi\//, "Vivaldi"],
  [/\bSamsungBrowser\//, "Samsung Internet"],
  [/\b(Firefox|FxiOS)\//, "Firefox"],
  [/\b(Chrome|CriOS|HeadlessChrome)\//, "Chrome"],
  [/\bVersion\/\S+ (Mobile\/\S+ )?Safari\//, "Safari"],
];
const SYSTEMS: readonly (readonly [RegExp, string])[] = [
  [/\bWindows\b/, "Windows"],
  [/\biPhone\b/, "iPhone"],
  [/\biPad\b/, "iPad"],
  [/\bAndroid\b/, "Android"],
  [/\bCrOS\b/, "ChromeOS"],
  [/\bMac OS X\b|\bMacintosh\b/, "macOS"],
  [/\bLinux\b/, "Linux"],
];

export interface Agent {
  /** `Firefox on Windows`, `curl`, `An unknown program`. */
  name: string;
  kind: "desktop" | "phone" | "program";
}

/** Which browser on which system, or the program's own name where it is no browser that we know. */
export function agentOf(userAgent: string): Agent {
  const browser = firstOf(BROWSERS, userAgent);
  const system = firstOf(SYSTEMS, userAgent);
  if (browser || userAgent.startsWith("Mozilla/")) {
    const isPhone = system === "iPhone" || system === "iPad" || system === "Android";
    const name = browser ?? "A browser";
    return { name: system ? `${name} on ${system}` : name, kind: isPhone ? "phone" : "desktop" };
  }
  const program = /^[^\s/(]+/.exec(userAgent.trim())?.[0];
  return { name: program ?? "An unknown program", kind: "program" };
}

function firstOf(names: readonly (readonly [RegExp, string])[], text: string): string | null {
  return names.find(([pattern]) => pattern.test(text))?.[1] ?? null;
}
