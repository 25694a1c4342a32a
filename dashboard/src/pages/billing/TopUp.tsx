import { Button, Card, Group, Skeleton, Text } from "@mantine/core";
import { useRef } from "react";
import { useTopUp } from "@/api/account";
import { messageOf } from "@/api/errors";
import { Money } from "@/components/Money";
import { formatUsd } from "@/format/money";

const AMOUNTS = ["10", "25", "50", "100", "500"] as const;

/** The balance, and buttons that add to it. */
export function TopUp({ balanceUsd }: { balanceUsd: string | undefined }) {
  const topUp = useTopUp();
  // One for each decision: when an answer is lost and the button is pressed again, the same one goes out.
  const unanswered = useRef(new Map<string, string>());

  const add = (amountUsd: string) => {
    const idempotencyKey = unanswered.current.get(amountUsd) ?? crypto.randomUUID();
    unanswered.current.set(amountUsd, idempotencyKey);
    topUp.mutate({ amountUsd, idempotencyKey }, { onSuccess: () => unanswered.current.delete(amountUsd) });
  };

  return (
    <Card component="section" h="100%">
      <Text size="sm" c="dimmed" fw={500}>
        Balance
      </Text>
      {balanceUsd === undefined ? (
        <Skeleton height={42} width={180} my={4} />
      ) : (
        <Text fz={32} fw={650} lh={1.3} aria-live="polite">
          <Money usd={balanceUsd} roughly />
        </Text>
      )}
      <Text size="sm" mt="md" mb={6} id="add-credit">
        Add credit
      </Text>
      <Group gap="xs" role="group" aria-labelledby="add-credit">
        {AMOUNTS.map((amount) => (
          <Button
            key={amount}
            variant="light"
            onClick={() => add(amount)}
            loading={topUp.isPending && topUp.variables.amountUsd === amount}
            disabled={topUp.isPending}
          >
            ${amount}
          </Button>
        ))}
      </Group>
      <Text size="sm" mt="sm" mih={22} role="status" c={topUp.isError ? "red" : "dimmed"}>
        {topUp.isError && messageOf(topUp.error)}
        {topUp.isSuccess && `${formatUsd(topUp.variables.amountUsd)} added.`}
        {topUp.isIdle && "No card is charged: payment is not connected in this installation."}
      </Text>
    </Card>
  );
}
