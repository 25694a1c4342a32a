import { Anchor, Card, Group, SegmentedControl, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { usageSummary } from "@/api/usage";
import { measured, type Measure, sharesOf, stackByDay } from "@/components/charts/byDay";
import { DailyBars } from "@/components/charts/DailyBars";
import { Shares } from "@/components/Shares";
import { ErrorState } from "@/components/states";
import { formatNanos, formatRoundly, toPlot } from "@/format/money";
import { formatCompact, formatCount } from "@/format/numbers";
import { spanOf, utcDaysOf, wholeDaysOf } from "@/format/period";
import { filterOf, MEASURES, type UsageSearch, VIEWS } from "./search";

const VIEW_LABELS = { day: "By day", model: "By model", key: "By key" } as const;
const MEASURE_LABELS = { cost: "Cost", requests: "Requests", tokens: "Tokens" } as const;

interface Props {
  search: UsageSearch;
  keyName: (id: string) => string;
  onChange: (change: UsageSearch) => void;
}

/** What the calls come to: a bar for each day, split as chosen, and the shares of what it is split by. */
export function Charts({ search, keyName, onChange }: Props) {
  const view = search.view ?? "day";
  const measure = search.measure ?? "cost";
  const span = spanOf(search);
  const { model, key_id } = filterOf(search);
  const summary = useQuery(
    usageSummary({
      group_by: "day",
      ...(view !== "day" && { split_by: view }),
      ...(model && { model }),
      ...(key_id && { key_id }),
      ...wholeDaysOf(span),
    }),
  );
  const sums =
    summary.isPlaceholderData && summary.data?.items.some(({ split }) => (split === null) !== (view === "day"))
      ? undefined
      : summary.data?.items;
  const label = (name: string) => (view === "day" ? "All calls" : view === "key" ? keyName(name) : name);
  const stacked = sums && stackByDay(sums, utcDaysOf(span, { earliest: sums[0]?.group }), { measure, label });
  const total = sums?.reduce((sum, each) => sum + measured(each, measure), 0n);

  return (
    <Card component="section" aria-labelledby="charts">
      <Group justify="space-between" mb="md" gap="sm">
        <div>
          <Title order={2} id="charts" fz="lg">
            {MEASURE_LABELS[measure]} {total !== undefined && <Headline measure={measure} total={total} />}
          </Title>
          <Text size="xs" c="dimmed">
            Whole UTC days{search.status && ", calls of every status"}
          </Text>
        </div>
        <Group gap="xs">
          <SegmentedControl
            size="sm"
            aria-label="What the chart shows"
            data={MEASURES.map((value) => ({ value, label: MEASURE_LABELS[value] }))}
            value={measure}
            onChange={(value) => onChange({ measure: value === "cost" ? undefined : value })}
          />
          <SegmentedControl
            size="sm"
            aria-label="How the chart is split"
            data={VIEWS.map((value) => ({ value, label: VIEW_LABELS[value] }))}
            value={view}
            onChange={(value) => onChange({ view: value === "day" ? undefined : value })}
          />
        </Group>
      </Group>
      {summary.isError && !sums ? (
        <ErrorState error={summary.error} retry={() => void summary.refetch()} />
      ) : (
        <Stack gap="md">
          <DailyBars
            label={`${MEASURE_LABELS[measure]} by day`}
            series={stacked?.series ?? []}
            points={stacked?.points}
            {...FORMATS[measure]}
          />
          {view !== "day" && (
            <Shares
              label={`Shares ${VIEW_LABELS[view].toLowerCase()}`}
              heading={view === "model" ? "Model" : "API key"}
              shares={sums && sharesOf(sums)}
              renderName={(name) => (
                <Anchor
                  component="button"
                  type="button"
                  size="sm"
                  c="inherit"
                  title={`Only calls of ${label(name)}`}
                  onClick={() => onChange({ [view]: name })}
                >
                  {label(name)}
                </Anchor>
              )}
            />
          )}
        </Stack>
      )}
    </Card>
  );
}

function Headline({ measure, total }: { measure: Measure; total: bigint }) {
  const { format } = FORMATS[measure];
  return (
    <Text span inherit className="tabular" title={format(total)} fw={600}>
      {measure === "cost" ? formatRoundly(total) : format(total)}
    </Text>
  );
}

const COUNTED = {
  format: (value: bigint) => formatCount(Number(value)),
  toPlot: Number,
  formatAxis: formatCompact,
};

const FORMATS = {
  cost: {
    format: formatNanos,
    toPlot,
    formatAxis: (dollars: number) => formatRoundly(BigInt(Math.round(dollars * 1e9))),
  },
  requests: COUNTED,
  tokens: COUNTED,
};
