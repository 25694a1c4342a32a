import { Badge, Group, Tooltip } from "@mantine/core";
import type { Event } from "@/api/usage";

const LOOKS = {
  success: { label: "Success", color: "jade", meaning: "The answer was complete." },
  error: { label: "Error", color: "red", meaning: "It failed, and costs nothing." },
  cancelled: { label: "Cancelled", color: "gray", meaning: "Your side closed the connection before the end." },
  interrupted: { label: "Interrupted", color: "orange", meaning: "The answer broke off before its end." },
} as const;

/** How a call ended, and whether its tokens are an estimate. */
export function CallStatus({ call }: { call: Pick<Event, "status" | "estimated" | "error_code"> }) {
  const { label, color, meaning } = LOOKS[call.status];
  return (
    <Group gap={4} wrap="nowrap" component="span" display="inline-flex">
      <Tooltip label={call.error_code ? `${meaning} (${call.error_code})` : meaning}>
        <Badge variant="light" color={color} tt="none" fw={500}>
          {label}
        </Badge>
      </Tooltip>
      {call.estimated && (
        <Tooltip label="The tokens are our own count, since the upstream gave none.">
          <Badge variant="default" tt="none" fw={500}>
            Estimated
          </Badge>
        </Tooltip>
      )}
    </Group>
  );
}

/** The word for a status, as filters have it. */
export function statusLabel(status: Event["status"]): string {
  return LOOKS[status].label;
}
