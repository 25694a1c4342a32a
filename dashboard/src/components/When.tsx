import { Tooltip } from "@mantine/core";
import { formatAge, formatTime, formatUtc } from "@/format/time";

/** A time in the viewer's zone, with UTC on hover; `age` says how long ago it was. */
export function When({ time, age = false }: { time: string; age?: boolean }) {
  return (
    <Tooltip label={formatUtc(time)}>
      <time dateTime={time} className="tabular" style={{ whiteSpace: "nowrap" }}>
        {age ? formatAge(time) : formatTime(time)}
      </time>
    </Tooltip>
  );
}
