import { Card, Skeleton, Text } from "@mantine/core";
import type { ReactNode } from "react";

/** One figure with its name, and something small below it. */
export function StatCard({ label, value, note }: { label: string; value: ReactNode | undefined; note?: ReactNode }) {
  return (
    <Card>
      <Text size="sm" c="dimmed" fw={500}>
        {label}
      </Text>
      {value === undefined ? (
        <Skeleton height={28} width="60%" mt={8} mb={4} />
      ) : (
        <Text fz={{ base: 20, sm: 26 }} truncate fw={600} lh={1.3} mt={4} className="tabular">
          {value}
        </Text>
      )}
      <Text size="xs" c="dimmed" mih={18} component="div">
        {note}
      </Text>
    </Card>
  );
}
