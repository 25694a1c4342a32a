import { Card, Group, SegmentedControl, Title } from "@mantine/core";
import { useState } from "react";
import type { Overview } from "@/api/adminOverview";
import { DailyBars } from "@/components/charts/DailyBars";
import { formatNanos, formatRoundly, parseUsd, toPlot } from "@/format/money";
import { formatCompact, formatCount } from "@/format/numbers";

type Day = Overview["by_day"][number];

const MEASURES = {
  revenue: {
    label: "Revenue",
    series: [{ name: "revenue", label: "Revenue" }],
    values: (day: Day) => ({ revenue: parseUsd(day.revenue_usd) }),
  },
  requests: {
    label: "Requests",
    series: [
      { name: "succeeded", label: "Succeeded" },
      { name: "failed", label: "Failed" },
    ],
    values: (day: Day) => ({ succeeded: BigInt(day.requests - day.errors), failed: BigInt(day.errors) }),
  },
  tokens: {
    label: "Tokens",
    series: [
      { name: "input", label: "Input" },
      { name: "output", label: "Output" },
    ],
    values: (day: Day) => ({ input: BigInt(day.input_tokens), output: BigInt(day.output_tokens) }),
  },
} as const;

type Measure = keyof typeof MEASURES;

/** One bar for each day, of what the reader chooses. */
export function OverviewChart({ days }: { days: readonly Day[] | undefined }) {
  const [measure, setMeasure] = useState<Measure>("revenue");
  const { label, series, values } = MEASURES[measure];
  const isMoney = measure === "revenue";
  return (
    <Card component="section">
      <Group justify="space-between" mb="sm">
        <Title order={2} size="h4">
          By day
        </Title>
        <SegmentedControl
          size="xs"
          aria-label="What the bars show"
          data={Object.entries(MEASURES).map(([value, each]) => ({ value, label: each.label }))}
          value={measure}
          onChange={(value) => setMeasure(value as Measure)}
        />
      </Group>
      <DailyBars
        label={`${label} by day`}
        series={series}
        points={days?.map((day) => ({ day: day.day, values: values(day) }))}
        format={(value) => (isMoney ? formatNanos(value) : formatCount(Number(value)))}
        toPlot={isMoney ? toPlot : Number}
        formatAxis={(plotted) => (isMoney ? formatRoundly(BigInt(Math.round(plotted * 1e9))) : formatCompact(plotted))}
      />
    </Card>
  );
}
