// The OpenAI SDK for Node.js: chat completions, Responses, embeddings. Tells each call as clients/seen.py does.
import OpenAI from "openai";

const V1 = `${process.env.PRIVATEROUTER_URL}/v1`;
const KEY = process.env.PRIVATEROUTER_KEY;
const FAST = "privaterouter/fast";
const SCRIPTED = "privaterouter/scripted";
const HELLO = "Say hi in five words.";
const QUESTION = "What is the weather in Paris?";
const WEATHER = "21 degrees";
const MAX_TOKENS = 16;
const object = (properties) => ({
  type: "object", properties, required: Object.keys(properties), additionalProperties: false,
});
const CITY = object({ city: { type: "string" } });
const FACTS = object({ capital: { type: "string" }, districts: { type: "integer" } });

const client = new OpenAI({ baseURL: V1, apiKey: KEY });

function saw(what, answer, usage, { endpoint = "chat.completions", streamed = false } = {}) {
  const input = usage.prompt_tokens ?? usage.input_tokens;
  const output = usage.completion_tokens ?? usage.output_tokens ?? 0;
  console.log(JSON.stringify({ what, answer, usage: [input, output], endpoint, streamed }));
}

// Chat completions.
const hello = { model: FAST, messages: [{ role: "user", content: HELLO }], max_tokens: MAX_TOKENS };
const whole = await client.chat.completions.create(hello);
saw("chat", whole.choices[0].message.content, whole.usage);

const stream = client.chat.completions.stream({ ...hello, stream_options: { include_usage: true } });
const text = [];
stream.on("content", (delta) => text.push(delta));
const final = await stream.finalChatCompletion();
saw("stream", text, final.usage, { streamed: true });

// Responses.
const said = { model: FAST, input: HELLO, max_output_tokens: MAX_TOKENS };
const response = await client.responses.create(said);
saw("chat", response.output_text, response.usage, { endpoint: "responses" });

const deltas = [];
let ended;
for await (const event of await client.responses.create({ ...said, stream: true })) {
  if (event.type === "response.output_text.delta") deltas.push(event.delta);
  if (["response.completed", "response.incomplete"].includes(event.type)) ended = event.response;
}
saw("stream", deltas, ended.usage, { endpoint: "responses", streamed: true });

// Embeddings.
const made = await client.embeddings.create({ model: "privaterouter/embed", input: HELLO });
saw("embeddings", made.data[0].embedding.length, made.usage, { endpoint: "embeddings" });

// Tools.
const tools = [{ type: "function", function: { name: "weather", parameters: CITY } }];
const messages = [{ role: "user", content: QUESTION }];
const asking = client.chat.completions.stream({
  model: SCRIPTED, messages, tools, stream_options: { include_usage: true },
});
const asked = await asking.finalChatCompletion();
const [call] = asked.choices[0].message.tool_calls;
saw("tool call", [call.function.name, JSON.parse(call.function.arguments)], asked.usage, { streamed: true });
messages.push(asked.choices[0].message, { role: "tool", tool_call_id: call.id, content: WEATHER });
const told = await client.chat.completions.create({ model: SCRIPTED, messages, tools });
saw("tool result", told.choices[0].message.content, told.usage);

// Structured output.
const question = { role: "user", content: QUESTION };
const chatted = await client.chat.completions.parse({
  model: SCRIPTED,
  messages: [question],
  response_format: { type: "json_schema", json_schema: { name: "facts", strict: true, schema: FACTS } },
});
saw("structured", JSON.parse(chatted.choices[0].message.content), chatted.usage);
const responded = await client.responses.create({
  model: SCRIPTED,
  input: QUESTION,
  text: { format: { type: "json_schema", name: "facts", strict: true, schema: FACTS } },
});
saw("structured", JSON.parse(responded.output_text), responded.usage, { endpoint: "responses" });
