/** Ready-made calls, with the reader's own address, and key where it is at hand. */

export interface Call {
  /** Where `/v1` is. */
  baseUrl: string;
  /** The secret, or what stands for it. */
  apiKey: string;
  model: string;
}

const QUESTION = "Say hi in five words.";

export const LANGUAGES = ["curl", "Python", "Node.js"] as const;
export type Language = (typeof LANGUAGES)[number];

/** A first chat completion. */
export function snippet(language: Language, { baseUrl, apiKey, model }: Call): string {
  switch (language) {
    case "curl":
      return `curl ${baseUrl}/chat/completions \\
  -H "Authorization: Bearer ${apiKey}" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": ${JSON.stringify(model)},
    "messages": [{"role": "user", "content": "${QUESTION}"}]
  }'`;
    case "Python":
      return `# pip install openai
from openai import OpenAI

client = OpenAI(
    base_url="${baseUrl}",
    api_key="${apiKey}",
)
answer = client.chat.completions.create(
    model=${JSON.stringify(model)},
    messages=[{"role": "user", "content": "${QUESTION}"}],
)
print(answer.choices[0].message.content)`;
    case "Node.js":
      return `// npm install openai
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: "${baseUrl}",
  apiKey: "${apiKey}",
});
const answer = await client.chat.completions.create({
  model: ${JSON.stringify(model)},
  messages: [{ role: "user", content: "${QUESTION}" }],
});
console.log(answer.choices[0].message.content);`;
  }
}

/** The same with the answer coming piece by piece. */
export function streamSnippet({ baseUrl, apiKey, model }: Call): string {
  return `from openai import OpenAI

client = OpenAI(base_url="${baseUrl}", api_key="${apiKey}")
stream = client.chat.completions.create(
    model=${JSON.stringify(model)},
    messages=[{"role": "user", "content": "${QUESTION}"}],
    stream=True,
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)`;
}

/** Anthropic's SDK on the same address; it adds \`/v1\` itself. */
export function anthropicSnippet({ baseUrl, apiKey, model }: Call): string {
  return `from anthropic import Anthropic

client = Anthropic(base_url="${baseUrl.replace(/\/v1$/, "")}", api_key="${apiKey}")
message = client.messages.create(
    model=${JSON.stringify(model)},
    max_tokens=64,
    messages=[{"role": "user", "content": "${QUESTION}"}],
)
print(message.content[0].text)`;
}

/** Where the reader reached us, as programs should: on a laptop the dashboard has a port of its own, and so has the API. */
export function baseUrlOf(location: Pick<Location, "origin">): string {
  return `${location.origin}/v1`;
}
