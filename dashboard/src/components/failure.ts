/** Says that something which the user did has failed. */

import { notifications } from "@mantine/notifications";
import { ApiError, messageOf } from "@/api/errors";

/** A notification; nothing where the session is over, since the page asks for the password then. */
export function tellFailure(error: unknown): void {
  if (error instanceof ApiError && error.code === "invalid_session") return;
  notifications.show({ color: "red", message: messageOf(error), autoClose: 8_000 });
}
