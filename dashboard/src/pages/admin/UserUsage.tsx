import { Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Activity } from "lucide-react";
import { useMemo } from "react";
import { userUsage } from "@/api/adminUsers";
import type { Event } from "@/api/usage";
import { CallStatus } from "@/components/CallStatus";
import { type Columns, columnsOf, DataTable } from "@/components/DataTable";
import { ModelName } from "@/components/ModelName";
import { Money } from "@/components/Money";
import { Pager } from "@/components/Pager";
import { EmptyState, ErrorState } from "@/components/states";
import { When } from "@/components/When";
import { formatCount } from "@/format/numbers";
import { formatDuration } from "@/format/time";

const PAGE = 20;

/** A user's calls, as the user sees them. */
export function UserUsage({ userId }: { userId: string }) {
  const { offset = 0 } = useSearch({ from: "/inside/admin/users/$userId" });
  const navigate = useNavigate({ from: "/admin/users/$userId" });
  const found = useQuery(userUsage(userId, { limit: PAGE, offset }));
  const columns = useMemo(() => columnsFor(), []);
  if (found.isError) return <ErrorState error={found.error} retry={() => void found.refetch()} />;
  return (
    <>
      <DataTable
        label="Calls of the user"
        columns={columns}
        rows={found.data?.items}
        rowKey={(event) => event.id}
        minWidth={820}
        empty={
          <EmptyState icon={Activity} title="No calls">
            Calls with one of the user’s keys, or from the playground, are listed here.
          </EmptyState>
        }
      />
      {found.data && (
        <Pager
          total={found.data.total}
          limit={PAGE}
          offset={offset}
          onOffset={(next) => void navigate({ search: (present) => ({ ...present, offset: next }) })}
        />
      )}
    </>
  );
}

function columnsFor(): Columns<Event> {
  const of = columnsOf<Event>();
  const count = (value: number) => <span className="tabular">{formatCount(value)}</span>;
  return [
    of.accessor("created_at", { header: "Time", cell: ({ getValue }) => <When time={getValue()} /> }),
    of.accessor("model_public_name", {
      header: "Model",
      cell: ({ row }) => <ModelName call={row.original} />,
    }),
    of.accessor("status", { header: "Status", cell: ({ row }) => <CallStatus call={row.original} /> }),
    of.accessor("input_tokens", {
      header: "Input",
      meta: { align: "right" },
      cell: ({ getValue }) => count(getValue()),
    }),
    of.accessor("output_tokens", {
      header: "Output",
      meta: { align: "right" },
      cell: ({ getValue }) => count(getValue()),
    }),
    of.accessor("latency_ms", {
      header: "Took",
      meta: { align: "right" },
      cell: ({ getValue }) => <span className="tabular">{formatDuration(getValue())}</span>,
    }),
    of.accessor("cost_usd", {
      header: "Cost",
      meta: { align: "right" },
      cell: ({ getValue }) => <Money usd={getValue()} />,
    }),
    of.accessor("id", {
      header: "Request",
      cell: ({ getValue }) => (
        <Text size="xs" ff="monospace" c="dimmed" truncate maw={130} title={getValue()}>
          {getValue()}
        </Text>
      ),
    }),
  ];
}
