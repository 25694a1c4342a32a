import { Card, Group, SegmentedControl, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { ArrowRight } from "lucide-react";
import { type ReactNode, useState } from "react";
import { balance } from "@/api/account";
import { usage, usageSummary } from "@/api/usage";
import { sharesOf, stackByDay, totalSince } from "@/components/charts/byDay";
import { DailyBars } from "@/components/charts/DailyBars";
import { DataTable } from "@/components/DataTable";
import { AnchorLink, ButtonLink } from "@/components/links";
import { Money } from "@/components/Money";
import { PageHeader } from "@/components/PageHeader";
import { Shares } from "@/components/Shares";
import { StatCard } from "@/components/StatCard";
import { ErrorState } from "@/components/states";
import { formatNanos, formatRoundly, toPlot } from "@/format/money";
import { plural } from "@/format/numbers";
import { lastDays } from "@/format/time";
import { FirstSteps } from "./FirstSteps";
import { LATEST } from "./latest";

const latest = usage({ limit: 8 });

/** The first page after the log-in: what there is, what was spent, and what was called last. */
export default function Dashboard(): ReactNode {
  const month = lastDays(30);
  const summary = useQuery(usageSummary({ group_by: "day", split_by: "model", from: month[0]! }));
  const sums = summary.data?.items;
  const account = useQuery(balance).data;
  const untouched = useQuery(latest).data?.total === 0;
  const periods = [
    ["Today", month.at(-1)!],
    ["Last 7 days", month.at(-7)!],
    ["Last 30 days", month[0]!],
  ] as const;

  return (
    <>
      <PageHeader title="Dashboard" subtitle="Days are UTC days, today included." />
      <Stack gap="lg">
        <SimpleGrid cols={{ base: 2, md: 4 }} spacing={{ base: "sm", sm: "lg" }}>
          <StatCard
            label="Balance"
            value={account && <Money usd={account.balance_usd} roughly />}
            note={
              <AnchorLink to="/billing" size="xs" inline>
                Top up
              </AnchorLink>
            }
          />
          {periods.map(([label, since]) => {
            const total = sums && totalSince(sums, since);
            return (
              <StatCard
                key={label}
                label={label}
                value={total && <span title={formatNanos(total.nanos)}>{formatRoundly(total.nanos)}</span>}
                note={total && plural(total.requests, "request")}
              />
            );
          })}
        </SimpleGrid>
        {untouched ? (
          <FirstSteps />
        ) : (
          <>
            {summary.isError && !sums ? (
              <ErrorState error={summary.error} retry={() => void summary.refetch()} />
            ) : (
              <Spend sums={sums} month={month} />
            )}
            <Latest />
          </>
        )}
      </Stack>
    </>
  );
}

function Spend({ sums, month }: { sums: Parameters<typeof sharesOf>[0] | undefined; month: readonly string[] }) {
  const [count, setCount] = useState("7");
  const days = month.slice(-Number(count));
  const within = sums?.filter(({ group }) => group >= days[0]!);
  const stacked = within && stackByDay(within, days, { measure: "cost", label: String });
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
      <Card component="section" aria-labelledby="by-day">
        <Group justify="space-between" mb="md" gap="sm">
          <Title order={2} id="by-day" fz="lg">
            Spend by day
          </Title>
          <SegmentedControl
            size="sm"
            aria-label="How many days the chart shows"
            data={[
              { value: "7", label: "7 days" },
              { value: "30", label: "30 days" },
            ]}
            value={count}
            onChange={setCount}
          />
        </Group>
        <DailyBars
          label={`Spend by day and model, last ${count} days`}
          series={stacked?.series ?? []}
          points={stacked?.points}
          format={formatNanos}
          toPlot={toPlot}
          formatAxis={(dollars) => formatRoundly(BigInt(Math.round(dollars * 1e9)))}
        />
      </Card>
      <Card component="section" aria-labelledby="by-model">
        <Title order={2} id="by-model" fz="lg" mb="md" lh="30px">
          Spend by model
        </Title>
        {within?.length === 0 ? (
          <Text size="sm" c="dimmed">
            Nothing was called in the last {count} days.
          </Text>
        ) : (
          <Shares
            label={`Spend by model, last ${count} days`}
            heading="Model"
            shares={within && sharesOf(within)}
            renderName={(model) => (
              <AnchorLink
                to="/usage"
                search={{ model, period: count === "7" ? "7d" : undefined }}
                size="sm"
                c="inherit"
                title={model}
              >
                {model}
              </AnchorLink>
            )}
          />
        )}
      </Card>
    </SimpleGrid>
  );
}

function Latest() {
  const navigate = useNavigate();
  const query = useQuery(latest);
  return (
    <Card>
      <Group justify="space-between" mb="sm">
        <Title order={2} fz="lg">
          Latest requests
        </Title>
        <ButtonLink to="/usage" variant="subtle" rightSection={<ArrowRight size={15} aria-hidden />}>
          All requests
        </ButtonLink>
      </Group>
      {query.isError && !query.data ? (
        <ErrorState error={query.error} retry={() => void query.refetch()} />
      ) : (
        <DataTable
          label="Latest requests"
          columns={LATEST}
          rows={query.data?.items}
          rowKey={(call) => call.id}
          onRowClick={(call) => void navigate({ to: "/usage", search: { event: call.id } })}
          empty={null}
        />
      )}
    </Card>
  );
}
