import { Card, Grid, Group, SegmentedControl, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Boxes, Users } from "lucide-react";
import { type ReactNode, useMemo } from "react";
import { type Overview as Figures, overview } from "@/api/adminOverview";
import { type Columns, columnsOf, DataTable } from "@/components/DataTable";
import { Money } from "@/components/Money";
import { AnchorLink } from "@/components/links";
import { PageHeader } from "@/components/PageHeader";
import { StatCard } from "@/components/StatCard";
import { EmptyState, ErrorState } from "@/components/states";
import { formatCompact, formatCount } from "@/format/numbers";
import { OverviewChart } from "./OverviewChart";
import { DAYS } from "./search";
import { UpstreamsLine } from "./UpstreamsLine";

type TopModel = Figures["top_models"][number];
type TopUser = Figures["top_users"][number];

/** How the whole is doing. */
export default function Overview() {
  const { days = 30 } = useSearch({ from: "/inside/admin/" });
  const navigate = useNavigate({ from: "/admin" });
  const figures = useQuery(overview(days));
  const models = useMemo(() => modelColumns(), []);
  const users = useMemo(() => userColumns(), []);

  return (
    <>
      <PageHeader
        title="Overview"
        subtitle="Whole UTC days, today included."
        actions={
          <SegmentedControl
            aria-label="How many days"
            data={DAYS.map((each) => ({ value: `${each}`, label: each === 1 ? "Today" : `${each} days` }))}
            value={`${days}`}
            onChange={(value) =>
              void navigate({ search: { days: DAYS.find((each) => `${each}` === value) ?? 30 }, replace: true })
            }
          />
        }
      />
      {figures.isError ? (
        <ErrorState error={figures.error} retry={() => void figures.refetch()} />
      ) : (
        <Stack gap="lg">
          <Cards figures={figures.data} />
          <UpstreamsLine />
          <OverviewChart days={figures.data?.by_day} />
          <Grid gap="md">
            <Grid.Col span={{ base: 12, md: 6 }}>
              <Top title="Top models">
                <DataTable
                  label="Top models"
                  columns={models}
                  rows={figures.data?.top_models}
                  rowKey={(row) => row.model}
                  expectedRows={5}
                  minWidth={380}
                  empty={
                    <EmptyState icon={Boxes} title="No calls in these days">
                      The models that were charged most for are listed here.
                    </EmptyState>
                  }
                />
              </Top>
            </Grid.Col>
            <Grid.Col span={{ base: 12, md: 6 }}>
              <Top title="Top users">
                <DataTable
                  label="Top users"
                  columns={users}
                  rows={figures.data?.top_users}
                  rowKey={(row) => row.user_id}
                  expectedRows={5}
                  minWidth={380}
                  empty={
                    <EmptyState icon={Users} title="No calls in these days">
                      The users who were charged most are listed here.
                    </EmptyState>
                  }
                />
              </Top>
            </Grid.Col>
          </Grid>
        </Stack>
      )}
    </>
  );
}

function Cards({ figures }: { figures: Figures | undefined }) {
  const rate = figures && figures.requests > 0 ? (figures.errors / figures.requests) * 100 : 0;
  return (
    <SimpleGrid cols={{ base: 2, md: 3 }} spacing="sm">
      <StatCard
        label="Revenue"
        value={figures && <Money usd={figures.revenue_usd} roughly />}
        note="What calls were charged"
      />
      <StatCard
        label="Credit sold"
        value={figures && <Money usd={figures.credits_sold_usd} roughly />}
        note={
          figures && (
            <>
              <Money usd={figures.credits_granted_usd} roughly /> granted
            </>
          )
        }
      />
      <StatCard
        label="Requests"
        value={figures && <Compact count={figures.requests} />}
        note={figures && `${formatCount(figures.requests)} in all`}
      />
      <StatCard
        label="Tokens"
        value={figures && <Compact count={figures.input_tokens + figures.output_tokens} />}
        note={figures && `${formatCompact(figures.input_tokens)} in, ${formatCompact(figures.output_tokens)} out`}
      />
      <StatCard
        label="Errors"
        value={figures && <Compact count={figures.errors} />}
        note={figures && `${rate.toFixed(rate > 0 && rate < 10 ? 1 : 0)}% of requests`}
      />
      <StatCard
        label="Active users"
        value={figures && <Compact count={figures.active_users} />}
        note={figures && `${formatCount(figures.new_users)} new`}
      />
    </SimpleGrid>
  );
}

function Compact({ count }: { count: number }) {
  return <span title={formatCount(count)}>{formatCompact(count)}</span>;
}

function Top({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Card component="section" h="100%">
      <Group mb="xs">
        <Title order={2} size="h4">
          {title}
        </Title>
      </Group>
      {children}
    </Card>
  );
}

function modelColumns(): Columns<TopModel> {
  const of = columnsOf<TopModel>();
  return [
    of.accessor("model", {
      header: "Model",
      cell: ({ getValue }) => (
        <Text size="sm" truncate maw={220} title={getValue()}>
          {getValue()}
        </Text>
      ),
    }),
    of.accessor("requests", {
      header: "Requests",
      meta: { align: "right" },
      cell: ({ getValue }) => <span className="tabular">{formatCount(getValue())}</span>,
    }),
    of.accessor("revenue_usd", {
      header: "Revenue",
      meta: { align: "right" },
      cell: ({ getValue }) => <Money usd={getValue()} roughly />,
    }),
  ];
}

function userColumns(): Columns<TopUser> {
  const of = columnsOf<TopUser>();
  return [
    of.accessor("email", {
      header: "User",
      cell: ({ row: { original: user } }) => (
        <AnchorLink
          to="/admin/users/$userId"
          params={{ userId: user.user_id }}
          size="sm"
          truncate
          maw={220}
          display="block"
          title={user.email ?? user.user_id}
        >
          {user.email ?? user.user_id}
        </AnchorLink>
      ),
    }),
    of.accessor("requests", {
      header: "Requests",
      meta: { align: "right" },
      cell: ({ getValue }) => <span className="tabular">{formatCount(getValue())}</span>,
    }),
    of.accessor("revenue_usd", {
      header: "Revenue",
      meta: { align: "right" },
      cell: ({ getValue }) => <Money usd={getValue()} roughly />,
    }),
  ];
}
