/** The columns of the latest requests. */

import type { Event } from "@/api/usage";
import { CallStatus } from "@/components/CallStatus";
import { type Columns, columnsOf } from "@/components/DataTable";
import { AnchorLink } from "@/components/links";
import { ModelName } from "@/components/ModelName";
import { Money } from "@/components/Money";
import { When } from "@/components/When";
import { formatCount } from "@/format/numbers";
import { formatDuration } from "@/format/time";

const column = columnsOf<Event>();
const right = { align: "right" } as const;

export const LATEST: Columns<Event> = [
  column.accessor("created_at", {
    header: "Time",
    cell: ({ row: { original: call } }) => (
      <AnchorLink
        to="/usage"
        search={{ event: call.id }}
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
  column.accessor("input_tokens", {
    header: "Input",
    meta: right,
    cell: ({ getValue }) => <span className="tabular">{formatCount(getValue())}</span>,
  }),
  column.accessor("output_tokens", {
    header: "Output",
    meta: right,
    cell: ({ getValue }) => <span className="tabular">{formatCount(getValue())}</span>,
  }),
  column.accessor("latency_ms", {
    header: "Latency",
    meta: right,
    cell: ({ getValue }) => <span className="tabular">{formatDuration(getValue())}</span>,
  }),
  column.accessor("cost_usd", {
    header: "Cost",
    meta: right,
    cell: ({ getValue }) => <Money usd={getValue()} />,
  }),
  column.accessor("status", { header: "Status", cell: ({ row }) => <CallStatus call={row.original} /> }),
];
