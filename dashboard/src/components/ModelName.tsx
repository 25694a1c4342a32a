import { Text } from "@mantine/core";
import type { Event } from "@/api/usage";

/** The model that was asked for, and below it the one that answered in its place. */
export function ModelName({ call }: { call: Pick<Event, "model_public_name" | "served_model_public_name"> }) {
  const served = call.served_model_public_name;
  return (
    <>
      <Text size="sm" truncate maw={220} title={call.model_public_name}>
        {call.model_public_name}
      </Text>
      {served && (
        <Text size="xs" c="dimmed" truncate maw={220} title={`Answered by ${served}, at its price`}>
          answered by {served}
        </Text>
      )}
    </>
  );
}
