import { Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { KeyRound } from "lucide-react";
import { useMemo, useState } from "react";
import { userKeys } from "@/api/adminUsers";
import type { Key } from "@/api/keys";
import { type Columns, columnsOf, DataTable } from "@/components/DataTable";
import { Money } from "@/components/Money";
import { Pager } from "@/components/Pager";
import { EmptyState, ErrorState } from "@/components/states";
import { When } from "@/components/When";
import { formatUsd } from "@/format/money";
import { StatusLabel } from "./Labels";

const PAGE = 20;

/** A user's keys. Only their owner changes them. */
export function UserKeys({ userId }: { userId: string }) {
  const [offset, setOffset] = useState(0);
  const found = useQuery(userKeys(userId, { limit: PAGE, offset }));
  const columns = useMemo(() => columnsFor(), []);
  if (found.isError) return <ErrorState error={found.error} retry={() => void found.refetch()} />;
  return (
    <>
      <DataTable
        label="API keys of the user"
        columns={columns}
        rows={found.data?.items}
        rowKey={(key) => key.id}
        expectedRows={3}
        empty={
          <EmptyState icon={KeyRound} title="No keys">
            Keys that the user makes are listed here, until they are deleted.
          </EmptyState>
        }
      />
      {found.data && <Pager total={found.data.total} limit={PAGE} offset={offset} onOffset={setOffset} />}
    </>
  );
}

function columnsFor(): Columns<Key> {
  const of = columnsOf<Key>();
  return [
    of.accessor("name", {
      header: "Name",
      cell: ({ row: { original: key } }) => (
        <Stack gap={0}>
          <Text size="sm" fw={500} truncate maw={220} title={key.name}>
            {key.name}
          </Text>
          <Text size="xs" c="dimmed" ff="monospace">
            {key.key_prefix}…
          </Text>
        </Stack>
      ),
    }),
    of.accessor("status", { header: "Status", cell: ({ getValue }) => <StatusLabel status={getValue()} /> }),
    of.accessor("monthly_limit_usd", {
      header: "Monthly limit",
      meta: { align: "right" },
      cell: ({ getValue }) => <span className="tabular">{getValue() === null ? "None" : formatUsd(getValue()!)}</span>,
    }),
    of.accessor("spent_this_month_usd", {
      header: "This month",
      meta: { align: "right" },
      cell: ({ getValue }) => (getValue() === null ? "–" : <Money usd={getValue()!} roughly />),
    }),
    of.accessor("last_used_at", {
      header: "Last used",
      cell: ({ getValue }) => (getValue() === null ? "Never" : <When time={getValue()!} age />),
    }),
    of.accessor("created_at", { header: "Created", cell: ({ getValue }) => <When time={getValue()} /> }),
  ];
}
