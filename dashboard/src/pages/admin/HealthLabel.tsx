import { Tooltip } from "@mantine/core";
import type { Upstream } from "@/api/adminUpstreams";
import { Label } from "./Labels";

const HEALTH: Record<Upstream["status"], { word: string; color: string; meaning: string }> = {
  healthy: { word: "Healthy", color: "jade", meaning: "It answers." },
  suspect: { word: "Suspect", color: "orange", meaning: "It does not answer probes." },
  ejected: { word: "Ejected", color: "red", meaning: "Requests to it failed; it is passed over for a while." },
  on_trial: { word: "On trial", color: "orange", meaning: "Its ejection is over; the next request decides." },
};

/** How an upstream is doing, with what that means on hover. */
export function HealthLabel({ status }: { status: Upstream["status"] }) {
  const { word, color, meaning } = HEALTH[status];
  return (
    <Tooltip label={meaning}>
      <span>
        <Label color={color}>{word}</Label>
      </span>
    </Tooltip>
  );
}
