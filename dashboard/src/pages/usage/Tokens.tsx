import { Tooltip } from "@mantine/core";
import { formatCount } from "@/format/numbers";
import classes from "./Usage.module.css";

/** A count of tokens; where some of them are of a class of their own, that is shown on hover and on focus. */
export function Tokens({
  count,
  parts,
}: {
  count: number;
  parts: readonly (readonly [label: string, count: number])[];
}) {
  const some = parts.filter(([, part]) => part > 0);
  if (some.length === 0) return <span className="tabular">{formatCount(count)}</span>;
  const details = some.map(([label, part]) => `${formatCount(part)} ${label}`).join(", ");
  return (
    <Tooltip label={`of which ${details}`}>
      <button
        type="button"
        className={`tabular ${classes.tokens}`}
        aria-label={`${formatCount(count)}, of which ${details}`}
      >
        {formatCount(count)}
      </button>
    </Tooltip>
  );
}
