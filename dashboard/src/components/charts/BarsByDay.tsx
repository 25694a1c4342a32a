import { Paper, Stack, Text, VisuallyHidden } from "@mantine/core";
import type { ReactNode } from "react";
import { Bar, BarChart, CartesianGrid, ResponsiveContainer, Tooltip, XAxis, YAxis } from "recharts";
import { formatDay } from "@/format/time";
import { colourOf, type Point, type Series } from "./series";

interface Props {
  /** What the chart shows, for those who can't see it. */
  label: string;
  series: readonly Series[];
  points: readonly Point[];
  /** Of an exact value, as the tooltip and the table for screen readers have it. */
  format: (value: bigint) => string;
  /** How high a value is; the axis is written by `formatAxis`. */
  toPlot: (value: bigint) => number;
  formatAxis: (plotted: number) => string;
  height?: number;
}

/** Stacked bars for each day. Loaded apart, since its library is larger than a page. */
export default function BarsByDay({ label, series, points, format, toPlot, formatAxis, height = 240 }: Props) {
  const data = points.map((point) => ({
    day: point.day,
    ...Object.fromEntries(series.map(({ name }) => [name, toPlot(point.values[name] ?? 0n)])),
  }));
  const exact = new Map(points.map((point) => [point.day, point]));
  const legend = ({ active, label: day }: { active?: boolean; label?: unknown }): ReactNode =>
    active && <Legend series={series} point={exact.get(String(day))} format={format} />;
  return (
    <figure style={{ margin: 0 }} aria-label={label}>
      <div aria-hidden style={{ height }}>
        <ResponsiveContainer width="100%" height="100%">
          <BarChart
            data={data}
            margin={{ top: 8, right: 4, bottom: 0, left: 0 }}
            barCategoryGap="22%"
            accessibilityLayer={false}
          >
            <CartesianGrid vertical={false} stroke="var(--pr-line)" />
            <XAxis
              dataKey="day"
              tickFormatter={formatDay}
              tickLine={false}
              axisLine={false}
              minTickGap={24}
              tick={{ fontSize: 11, fill: "var(--mantine-color-dimmed)" }}
            />
            <YAxis
              width="auto"
              tickFormatter={formatAxis}
              tickLine={false}
              axisLine={false}
              tick={{ fontSize: 11, fill: "var(--mantine-color-dimmed)" }}
            />
            <Tooltip
              cursor={{ fill: "var(--mantine-color-default-hover)" }}
              isAnimationActive={false}
              content={legend}
            />
            {series.map(({ name }, index) => (
              <Bar
                key={name}
                dataKey={name}
                stackId="all"
                fill={colourOf(index)}
                maxBarSize={36}
                isAnimationActive={false}
                radius={index === series.length - 1 ? [3, 3, 0, 0] : 0}
              />
            ))}
          </BarChart>
        </ResponsiveContainer>
      </div>
      <VisuallyHidden>
        <table>
          <caption>{label}</caption>
          <tbody>
            {points.map((point) =>
              series
                .filter(({ name }) => point.values[name])
                .map(({ name, label: what }) => (
                  <tr key={`${point.day} ${name}`}>
                    <th scope="row">
                      {formatDay(point.day)}, {what}
                    </th>
                    <td>{format(point.values[name] ?? 0n)}</td>
                  </tr>
                )),
            )}
          </tbody>
        </table>
      </VisuallyHidden>
    </figure>
  );
}

function Legend({ series, point, format }: Pick<Props, "series" | "format"> & { point: Point | undefined }) {
  if (!point) return null;
  const shown = series.map((each, index) => ({ ...each, index })).filter(({ name }) => point.values[name]);
  return (
    <Paper withBorder shadow="md" p="xs" fz="xs">
      <Text fz="xs" fw={600}>
        {formatDay(point.day)} (UTC)
      </Text>
      <Stack gap={2} mt={4}>
        {shown.length === 0 && <span>Nothing</span>}
        {shown.map(({ name, label, index }) => (
          <div key={name} className="tabular">
            <span style={{ color: colourOf(index) }}>■</span> {label}: {format(point.values[name] ?? 0n)}
          </div>
        ))}
      </Stack>
    </Paper>
  );
}
