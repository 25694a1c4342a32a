import { Card, Group, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";

interface Props {
  title: string;
  subtitle?: ReactNode;
  /** On the right of the title. */
  actions?: ReactNode;
  children: ReactNode;
}

/** A card with a heading: a part of a page. */
export function Section({ title, subtitle, actions, children }: Props) {
  return (
    <Card component="section">
      <Group justify="space-between" align="flex-start" gap="sm" mb="md">
        <div>
          <Title order={2} size="h4">
            {title}
          </Title>
          {subtitle && (
            <Text size="sm" c="dimmed" mt={2}>
              {subtitle}
            </Text>
          )}
        </div>
        {actions}
      </Group>
      {children}
    </Card>
  );
}
