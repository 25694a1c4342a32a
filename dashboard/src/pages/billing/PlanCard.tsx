import { AnchorLink } from "@/components/links";
import { Badge, Card, Group, List, Skeleton, Text } from "@mantine/core";
import type { Plan } from "@/api/catalogue";
import { formatUsd } from "@/format/money";
import { formatCount } from "@/format/numbers";

/** The account's plan and what it allows. */
export function PlanCard({ plan }: { plan: Plan | undefined }) {
  return (
    <Card component="section" h="100%">
      <Group justify="space-between">
        <Text size="sm" c="dimmed" fw={500}>
          Plan
        </Text>
        {plan && (
          <Badge variant="light">
            {plan.monthly_usd === "0.00" ? "Free" : `${formatUsd(plan.monthly_usd)} a month`}
          </Badge>
        )}
      </Group>
      {plan === undefined ? (
        <Skeleton height={120} mt="sm" />
      ) : (
        <>
          <Text fz={24} fw={600} lh={1.4} tt="capitalize">
            {plan.name}
          </Text>
          <List size="sm" spacing={4} mt="xs">
            <List.Item>
              {plan.all_models ? "All models" : `${formatCount(plan.allowed_models.length)} models`},{" "}
              <AnchorLink to="/models" inherit>
                see which
              </AnchorLink>
            </List.Item>
            <List.Item>{formatCount(plan.rpm)} requests a minute</List.Item>
            {plan.tpm !== null && <List.Item>{formatCount(plan.tpm)} tokens a minute</List.Item>}
            {plan.max_in_flight !== null && (
              <List.Item>{formatCount(plan.max_in_flight)} calls at the same time</List.Item>
            )}
            <List.Item>{formatUsd(plan.included_credits_usd)} of credit with it</List.Item>
          </List>
          <Text size="xs" c="dimmed" mt="sm">
            The operator of this service changes plans; ask for another one there.
          </Text>
        </>
      )}
    </Card>
  );
}
