/** What a user's ledger and that of all accounts have in common. */

import { Select, Text } from "@mantine/core";
import type { Transaction } from "@/api/account";
import { type Columns, columnsOf } from "@/components/DataTable";
import { Money } from "@/components/Money";
import { When } from "@/components/When";
import { type Kind, KINDS } from "../billing/search";

/** Chooses a kind of line; none: all. */
export function KindSelect({ kind, onKind }: { kind: Kind | undefined; onKind: (kind: Kind | undefined) => void }) {
  return (
    <Select
      aria-label="Kind of line"
      placeholder="All lines"
      data={Object.entries(KINDS).map(([value, label]) => ({ value, label }))}
      value={kind ?? null}
      onChange={(value) => onKind((value as Kind | null) ?? undefined)}
      clearable
      w={170}
    />
  );
}

/** When, what kind, what for, how much; `between` comes after the time. */
export function lineColumns<Line extends Transaction>(between: Columns<Line> = []): Columns<Line> {
  const of = columnsOf<Line>();
  return [
    of.display({ id: "time", header: "Time", cell: ({ row }) => <When time={row.original.created_at} /> }),
    ...between,
    of.display({ id: "kind", header: "Kind", cell: ({ row }) => KINDS[row.original.kind] }),
    of.display({
      id: "description",
      header: "What for",
      cell: ({ row: { original: line } }) => (
        <Text size="sm" truncate maw={340} title={line.request_id ?? line.description}>
          {line.description || line.request_id}
        </Text>
      ),
    }),
    of.display({
      id: "amount",
      header: "Amount",
      meta: { align: "right" },
      cell: ({ row: { original: line } }) => (
        <Money
          usd={line.amount_usd}
          fz="sm"
          fw={500}
          {...(line.amount_usd.startsWith("-") ? {} : { c: "var(--pr-gain)" })}
        />
      ),
    }),
  ];
}
