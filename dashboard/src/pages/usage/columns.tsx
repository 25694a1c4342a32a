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
  column.accessor("latency_ms", { header: "Latency", meta: right, cell: ({ row }) => <Latency call={row.original} /> }),
  column.accessor("cost_usd", {
    header: "Cost",
    meta: right,
    cell: ({ row }) => <Money usd={row.original.cost_usd} />,
  }),
  column.accessor("status", { header: "Status", cell: ({ row }) => <CallStatus call={row.original} /> }),
];

/** How long the whole answer took, and below it how long its first token did, where it was streamed. */
function Latency({ call }: { call: Event }) {
  return (
    <>
      <Text size="sm" className="tabular" style={{ whiteSpace: "nowrap" }}>
        {call.latency_ms === null ? "–" : formatDuration(call.latency_ms)}
      </Text>
      {call.first_token_ms !== null && (
        <Text size="xs" c="dimmed" className="tabular" style={{ whiteSpace: "nowrap" }}>
          first token {formatDuration(call.first_token_ms)}
        </Text>
      )}
    </>
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
