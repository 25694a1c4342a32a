import { expect, test } from "vitest";
import { codeOf } from "./code";
import { DEFAULTS, requestOf } from "./request";

const MESSAGES = [{ role: "user", content: 'It\'s "new"\nand $HOME `x` \\ 世界' }] as const;
const request = requestOf("privaterouter/fast", MESSAGES, { ...DEFAULTS, temperature: 0.5, stop: ["\n", "'"] });

test("what is not set is not sent", () => {
  expect(requestOf("m", [], DEFAULTS)).toEqual({
    model: "m",
    messages: [],
    stream: true,
    stream_options: { include_usage: true },
  });
});

test("curl gets the body as one quoted word, and the key from the environment", () => {
  expect(codeOf("curl", request, "http://localhost:3000")).toBe(`curl -N 'http://localhost:3000/v1/chat/completions' \\
  -H "Authorization: Bearer $PR_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{
  "model": "privaterouter/fast",
  "messages": [
    {
      "role": "user",
      "content": "It'\\''s \\"new\\"\\nand $HOME \`x\` \\\\ 世界"
    }
  ],
  "temperature": 0.5,
  "stop": [
    "\\n",
    "'\\''"
  ],
  "stream": true,
  "stream_options": {
    "include_usage": true
  }
}'
`);
});

test("Python gets literals of its own", () => {
  expect(codeOf("python", request, "http://localhost:3000")).toBe(`import os

from openai import OpenAI

client = OpenAI(base_url="http://localhost:3000/v1", api_key=os.environ["PR_KEY"])
stream = client.chat.completions.create(
    model="privaterouter/fast",
    messages=[
        {"role": "user", "content": "It's \\"new\\"\\nand $HOME \`x\` \\\\ 世界"},
    ],
    temperature=0.5,
    stop=["\\n", "'"],
    stream=True,
    stream_options={"include_usage": True},
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
print()
`);
});

test("Node.js gets an object", () => {
  const code = codeOf("node", request, "http://localhost:3000");
  expect(code).toContain('new OpenAI({ baseURL: "http://localhost:3000/v1", apiKey: process.env.PR_KEY });');
  const [, object] = /create\(([^]*?)\);\nfor await/.exec(code)!;
  expect(new Function(`return ${object}`)()).toEqual(request);
});
