import { Card, Group, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { ReceiptText } from "lucide-react";
import { useMemo } from "react";
import { ledger, type LedgerLine, type LedgerTotals, ledgerTotals } from "@/api/adminLedger";
import { type Columns, columnsOf, DataTable } from "@/components/DataTable";
import { Money } from "@/components/Money";
import { AnchorLink } from "@/components/links";
import { PageHeader } from "@/components/PageHeader";
import { Pager } from "@/components/Pager";
import { StatCard } from "@/components/StatCard";
import { EmptyState, ErrorState } from "@/components/states";
import { formatNanos, sumUsd } from "@/format/money";
import { KindSelect, lineColumns } from "./LedgerLines";
import { SearchBox } from "./SearchBox";
import { useUserId } from "./userId";

const PAGE = 25;

const TOTALS: readonly { field: keyof LedgerTotals; label: string; note: string }[] = [
  { field: "customer_usd", label: "Customers", note: "What users have" },
  { field: "revenue_usd", label: "Revenue", note: "What calls were charged" },
  { field: "promo_usd", label: "Promotion", note: "What plans included" },
  { field: "cash_usd", label: "Cash", note: "What was paid in" },
  { field: "adjustments_usd", label: "Corrections", note: "Taken, less what was given" },
  { field: "absorbed_usd", label: "Absorbed", note: "What users could not pay" },
];

/** The books: what each kind of account has, and every line of all users' accounts. */
export default function Ledger() {
  const { kind, account = "", offset = 0 } = useSearch({ from: "/inside/admin/ledger" });
  const navigate = useNavigate({ from: "/admin/ledger" });
  const who = useUserId(account);
  const lines = useQuery({
    ...ledger({ limit: PAGE, offset, ...(kind && { kind }), ...(who.id && { account_id: who.id }) }),
    enabled: who.isKnown,
  });
  const columns = useMemo(() => lineColumns(accountColumns()), []);
  const empty = (
    <EmptyState icon={ReceiptText} title="No such lines">
      {who.error ?? "Top-ups, credit of plans, charges and corrections of all users are listed here."}
    </EmptyState>
  );

  return (
    <>
      <PageHeader title="Ledger" subtitle="Every dollar is booked twice, so that all accounts together come to zero." />
      <Stack gap="lg">
        <Totals />
        <Card component="section">
          <Group justify="space-between" mb="sm">
            <Title order={2} size="h4">
              Lines
            </Title>
            <Group gap="xs">
              <SearchBox
                label="User of the lines"
                placeholder="E-mail or id of a user"
                value={account}
                onSearch={(text) =>
                  void navigate({ search: { ...(kind && { kind }), ...(text && { account: text }) }, replace: true })
                }
                w={240}
              />
              <KindSelect
                kind={kind}
                onKind={(next) =>
                  void navigate({ search: { ...(next && { kind: next }), ...(account && { account }) }, replace: true })
                }
              />
            </Group>
          </Group>
          {lines.isError ? (
            <ErrorState error={lines.error} retry={() => void lines.refetch()} />
          ) : who.error ? (
            empty
          ) : (
            <DataTable
              label="Ledger lines"
              columns={columns}
              rows={lines.data?.items}
              rowKey={(line) => `${line.id} ${line.account_id}`}
              minWidth={820}
              empty={empty}
            />
          )}
          {lines.data && !who.error && (
            <Pager
              total={lines.data.total}
              limit={PAGE}
              offset={offset}
              onOffset={(next) => void navigate({ search: (present) => ({ ...present, offset: next }) })}
            />
          )}
        </Card>
      </Stack>
    </>
  );
}

function Totals() {
  const totals = useQuery(ledgerTotals);
  if (totals.isError) return <ErrorState error={totals.error} retry={() => void totals.refetch()} />;
  const sum = totals.data && sumUsd(Object.values(totals.data));
  return (
    <section aria-label="Balances by kind of account">
      <SimpleGrid cols={{ base: 2, md: 3 }} spacing="sm">
        {TOTALS.map(({ field, label, note }) => (
          <StatCard
            key={field}
            label={label}
            value={totals.data && <Money usd={totals.data[field]} roughly />}
            note={note}
          />
        ))}
      </SimpleGrid>
      <Text size="sm" mt="xs" mih={22} c={sum ? "red" : "dimmed"} role="status" className="tabular">
        {sum === 0n && "Together they come to $0.00, as they must."}
        {sum !== undefined &&
          sum !== 0n &&
          `Together they come to ${formatNanos(sum)}. They must come to $0.00: check the books.`}
      </Text>
    </section>
  );
}

function accountColumns(): Columns<LedgerLine> {
  const of = columnsOf<LedgerLine>();
  return [
    of.display({
      id: "account",
      header: "User",
      cell: ({ row: { original: line } }) => (
        <AnchorLink
          to="/admin/users/$userId"
          params={{ userId: line.account_id }}
          search={{ tab: "ledger" }}
          size="sm"
          truncate
          maw={220}
          display="block"
          title={line.email ?? line.account_id}
        >
          {line.email ?? line.account_id}
        </AnchorLink>
      ),
    }),
  ];
}
