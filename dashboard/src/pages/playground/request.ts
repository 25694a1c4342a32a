/** The body of a call, from what is set beside the conversation. */

import type { Message } from "./conversation";

/** Null, or no stop sequence: the model's own default holds, and nothing is sent. */
export interface Parameters {
  temperature: number | null;
  topP: number | null;
  maxTokens: number | null;
  stop: string[];
}

export const DEFAULTS: Parameters = { temperature: null, topP: null, maxTokens: null, stop: [] };

export interface ChatRequest {
  model: string;
  messages: readonly Message[];
  temperature?: number;
  top_p?: number;
  max_tokens?: number;
  stop?: string[];
  stream: true;
  stream_options: { include_usage: true };
}

export function requestOf(model: string, messages: readonly Message[], parameters: Parameters): ChatRequest {
  const { temperature, topP, maxTokens, stop } = parameters;
  return {
    model,
    messages,
    ...(temperature !== null && { temperature }),
    ...(topP !== null && { top_p: topP }),
    ...(maxTokens !== null && { max_tokens: maxTokens }),
    ...(stop.length > 0 && { stop }),
    stream: true,
    stream_options: { include_usage: true },
  };
}
