import { AnchorLink } from "@/components/links";
import { Button, Card, Grid, Group, Select, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Download, ReceiptText } from "lucide-react";
import { useMemo } from "react";
import { useMyPlan } from "@/api/allowed";
import { balance, type Transaction, transactions } from "@/api/account";
import { type Columns, columnsOf, DataTable } from "@/components/DataTable";
import { Money } from "@/components/Money";
import { PageHeader } from "@/components/PageHeader";
import { Pager } from "@/components/Pager";
import { EmptyState, ErrorState } from "@/components/states";
import { When } from "@/components/When";
import { PlanCard } from "./PlanCard";
import { KINDS, type Kind } from "./search";
import { TopUp } from "./TopUp";

const PAGE = 20;

/** The account's money: what there is, adding to it, and every line that changed it. */
export default function Billing() {
  const { kind, offset = 0 } = useSearch({ from: "/inside/billing" });
  const navigate = useNavigate({ from: "/billing" });
  const account = useQuery(balance);
  const plan = useMyPlan();
  const lines = useQuery(transactions({ limit: PAGE, offset, ...(kind && { kind }) }));
  const columns = useMemo(() => columnsFor(), []);

  return (
    <>
      <PageHeader
        title="Billing"
        subtitle="Credit is paid in advance, never expires, and is taken by the nano-dollar."
      />
      <Stack gap="lg">
        <Grid gap="md">
          <Grid.Col span={{ base: 12, md: 7 }}>
            <TopUp balanceUsd={account.data?.balance_usd} />
          </Grid.Col>
          <Grid.Col span={{ base: 12, md: 5 }}>
            <PlanCard plan={plan} />
          </Grid.Col>
        </Grid>
        <Card component="section">
          <Group justify="space-between" mb="sm">
            <Title order={2} size="h4">
              Ledger
            </Title>
            <Group gap="xs">
              <Select
                aria-label="Kind of line"
                placeholder="All lines"
                data={Object.entries(KINDS).map(([value, label]) => ({ value, label }))}
                value={kind ?? null}
                onChange={(value) => void navigate({ search: value ? { kind: value as Kind } : {} })}
                clearable
                w={160}
              />
              <Button
                component="a"
                href={`/api/billing/transactions/export.csv${kind ? `?kind=${kind}` : ""}`}
                download
                variant="default"
                leftSection={<Download size={14} aria-hidden />}
              >
                CSV
              </Button>
            </Group>
          </Group>
          {lines.isLoadingError ? (
            <ErrorState error={lines.error} retry={() => void lines.refetch()} />
          ) : (
            <>
              <DataTable
                label="Ledger"
                columns={columns}
                rows={lines.data?.items}
                rowKey={(line) => line.id}
                empty={
                  <EmptyState icon={ReceiptText} title="No such lines">
                    Top-ups, credit of your plan, charges and corrections are listed here.
                  </EmptyState>
                }
              />
              {lines.data && (
                <Pager
                  total={lines.data.total}
                  limit={PAGE}
                  offset={offset}
                  onOffset={(next) => void navigate({ search: (search) => ({ ...search, offset: next }) })}
                />
              )}
            </>
          )}
        </Card>
      </Stack>
    </>
  );
}

function columnsFor(): Columns<Transaction> {
  const of = columnsOf<Transaction>();
  return [
    of.accessor("created_at", { header: "Time", cell: ({ getValue }) => <When time={getValue()} /> }),
    of.accessor("kind", { header: "Kind", cell: ({ row }) => KINDS[row.original.kind] }),
    of.accessor("description", {
      header: "What for",
      cell: ({ row: { original: line } }) =>
        line.request_id ? (
          <AnchorLink to="/usage" search={{ event: line.request_id }} size="sm">
            {line.description || line.request_id}
          </AnchorLink>
        ) : (
          <Text size="sm" truncate maw={360} title={line.description}>
            {line.description}
          </Text>
        ),
    }),
    of.accessor("amount_usd", {
      header: "Amount",
      meta: { align: "right" },
      cell: ({ getValue }) => (
        <Money usd={getValue()} fz="sm" fw={500} {...(getValue().startsWith("-") ? {} : { c: "var(--pr-gain)" })} />
      ),
    }),
  ];
}
