import { Skeleton } from "@mantine/core";
import { type ComponentProps, lazy, Suspense } from "react";

const BarsByDay = lazy(() => import("./BarsByDay"));

/** BarsByDay, loaded when it is first shown; until then, and while `points` are loaded, its place is kept. */
export function DailyBars(
  props: Omit<ComponentProps<typeof BarsByDay>, "points"> & {
    points: ComponentProps<typeof BarsByDay>["points"] | undefined;
  },
) {
  const { points, height = 240 } = props;
  if (points === undefined) return <ChartSkeleton height={height} />;
  return (
    <Suspense fallback={<ChartSkeleton height={height} />}>
      <BarsByDay {...props} points={points} height={height} />
    </Suspense>
  );
}

export function ChartSkeleton({ height = 240 }: { height?: number }) {
  return <Skeleton height={height} radius="md" />;
}
