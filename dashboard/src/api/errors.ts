/** What can go wrong with a call of the API. */

/** The API's own error, or `unreachable` where there was no answer at all. */
export class ApiError extends Error {
  override readonly name = "ApiError";

  constructor(
    message: string,
    readonly status: number,
    readonly code: string,
    readonly param: string | null = null,
    readonly requestId: string | null = null,
    /** How many seconds to wait before asking again, where the server says so. */
    readonly retryAfterS: number | null = null,
  ) {
    super(message);
  }

  /** Whether asking again may help, without anybody changing anything. */
  get isPassing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** There was no answer: the server is down, or the network. */
export function unreachable(): ApiError {
  return new ApiError("PrivateRouter does not answer. Check your connection; we keep trying.", 0, "unreachable");
}

/** The error in an answer, whatever its body is. */
export function errorOf(body: unknown, response: Response): ApiError {
  const requestId = response.headers.get("x-request-id");
  const error = isObject(body) && isObject(body["error"]) ? body["error"] : {};
  const message = typeof error["message"] === "string" ? error["message"] : `The server answered ${response.status}.`;
  const code = typeof error["code"] === "string" ? error["code"] : "unknown";
  const param = typeof error["param"] === "string" ? error["param"] : null;
  const retryAfter = response.headers.get("retry-after") ?? "";
  const retryAfterS = /^\d+$/.test(retryAfter) ? Number(retryAfter) : null;
  return new ApiError(message, response.status, code, param, requestId, retryAfterS);
}

/** What to tell of any error. */
export function messageOf(error: unknown): string {
  return error instanceof ApiError ? error.message : "Something went wrong in this page. Reload it and try again.";
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
