/** The columns of the list of calls. */

import { Text } from "@mantine/core";
import type { Event } from "@/api/usage";
import { CallStatus } from "@/components/CallStatus";
import { type Columns, columnsOf } from "@/components/DataTable";
import { AnchorLink } from "@/components/links";
import { ModelName } from "@/components/ModelName";
import { Money } from "@/components/Money";
import { When } from "@/components/When";
import { formatDuration } from "@/format/time";
import { useKeyName } from "./key-names";
import { Tokens } from "./Tokens";

const column = columnsOf<Event>();
const right = { align: "right" } as const;

/** Made once: a cell of another function would be another one on the page, and lose the focus. */
export const COLUMNS: Columns<Event> = [
  column.accessor("created_at", {
    header: "Time",
    cell: ({ row: { original: call } }) => (
      <AnchorLink
        from="/usage"
        to="/usage"
        search={(search) => ({ ...search, event: call.id })}
        size="sm"
        c="inherit"
        // The row would open it a second time.
        onClick={(click) => click.stopPropagation()}
      >
        <When time={call.created_at} />
      </AnchorLink>
    ),
  }),
  column.accessor("model_public_name", { header: "Model", cell: ({ row }) => <ModelName call={row.original} /> }),
  column.accessor("api_key_id", {
    header: "API key",
    cell: ({ row }) => <KeyName id={row.original.api_key_id} />,
  }),
  column.accessor("input_tokens", {
    header: "Input",
    meta: right,
    cell: ({ row: { original: call } }) => (
      <Tokens
        count={call.input_tokens}
        parts={[
          ["from the cache", call.cached_input_tokens],
          ["written into the cache", call.cache_write_input_tokens],
        ]}
      />
    ),
  }),
  column.accessor("output_tokens", {
    header: "Output",
    meta: right,
    cell: ({ row: { original: call } }) => (
      <Tokens count={call.output_tokens} parts={[["for reasoning", call.reasoning_tokens]]} />
    ),
  }),
  column.accessor("first_token_ms", {
    header: "First token",
    meta: right,
    cell: ({ row }) => <Milliseconds value={row.original.first_token_ms} />,
  }),
  column.accessor("latency_ms", {
    header: "Latency",
    meta: right,
    cell: ({ row }) => <Milliseconds value={row.original.latency_ms} />,
  }),
  column.accessor("cost_usd", {
    header: "Cost",
    meta: right,
    cell: ({ row }) => <Money usd={row.original.cost_usd} />,
  }),
  column.accessor("status", { header: "Status", cell: ({ row }) => <CallStatus call={row.original} /> }),
];

function Milliseconds({ value }: { value: number | null }) {
  return (
    <span className="tabular" style={{ whiteSpace: "nowrap" }}>
      {value === null ? "–" : formatDuration(value)}
    </span>
  );
}

function KeyName({ id }: { id: string }) {
  const name = useKeyName()(id);
  return (
    <Text size="sm" truncate maw={140} title={name}>
      {name}
    </Text>
  );
}
