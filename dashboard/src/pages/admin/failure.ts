/** Shows why something was refused: at the field that it is about, where there is one. */

import { notifications } from "@mantine/notifications";
import { ApiError, messageOf } from "@/api/errors";

/** The fields of these forms have the names that the API's have, so that its errors find them. */
interface Form {
  getValues: () => object;
  setFieldError: (path: string, message: string) => void;
}

export function showFailure(error: unknown, form?: Form): void {
  const message = messageOf(error);
  const path = form && error instanceof ApiError && error.param ? fieldOf(error.param, form.getValues()) : null;
  if (path) form?.setFieldError(path, message);
  else notifications.show({ color: "red", message });
}

/** The input that has the value at `param`: a list of names is one input, a list of objects has one for each part. */
export function fieldOf(param: string, values: object): string | null {
  const path: string[] = [];
  let value: unknown = values;
  for (const name of param.split(".")) {
    if (typeof value !== "object" || value === null) break;
    const isOneInput = Array.isArray(value) && typeof value[0] !== "object";
    if (isOneInput || !Object.hasOwn(value, name)) break;
    path.push(name);
    value = (value as Record<string, unknown>)[name];
  }
  return path.length ? path.join(".") : null;
}
