/** A call of the playground as code that makes the same call from elsewhere, with the key in `PR_KEY`. */

import type { ChatRequest } from "./request";

export const LANGUAGES = { curl: "curl", python: "Python", node: "Node.js" } as const;
export type Language = keyof typeof LANGUAGES;

/** `origin` is where PrivateRouter is: `https://router.example`. */
export function codeOf(language: Language, request: ChatRequest, origin: string): string {
  return { curl, python, node }[language](request, `${origin}/v1`);
}

function curl(request: ChatRequest, base: string): string {
  return `curl -N ${quoted(`${base}/chat/completions`)} \\
  -H "Authorization: Bearer $PR_KEY" \\
  -H "Content-Type: application/json" \\
  -d ${quoted(JSON.stringify(request, null, 2))}
`;
}

/** The text as one word of a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function python(request: ChatRequest, base: string): string {
  const fields = Object.entries(request).map(([name, value]) => `    ${name}=${pythonOf(value, "    ")},\n`);
  return `import os

from openai import OpenAI

client = OpenAI(base_url=${pythonOf(base)}, api_key=os.environ["PR_KEY"])
stream = client.chat.completions.create(
${fields.join("")})
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
print()
`;
}

/** The value as a Python literal. A string of JSON is one of Python too. */
function pythonOf(value: unknown, indent = ""): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  const inner = `${indent}    `;
  if (Array.isArray(value)) {
    if (value.every((item) => typeof item === "string")) return `[${value.map((item) => pythonOf(item)).join(", ")}]`;
    return `[\n${value.map((item) => `${inner}${pythonOf(item, inner)},\n`).join("")}${indent}]`;
  }
  if (typeof value === "object") {
    return `{${Object.entries(value)
      .map(([name, item]) => `${JSON.stringify(name)}: ${pythonOf(item, inner)}`)
      .join(", ")}}`;
  }
  return JSON.stringify(value);
}

function node(request: ChatRequest, base: string): string {
  const body = JSON.stringify(request, null, 2).replace(/^( +)"(\w+)":/gm, "$1$2:");
  return `import OpenAI from "openai";

const client = new OpenAI({ baseURL: ${JSON.stringify(base)}, apiKey: process.env.PR_KEY });
const stream = await client.chat.completions.create(${body});
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
}
process.stdout.write("\\n");
`;
}
