import { Button, Card, Group, Skeleton, Text } from "@mantine/core";
import { useRef } from "react";
import { useTopUp } from "@/api/account";
import { messageOf } from "@/api/errors";
import { Money } from "@/components/Money";
import { formatUsd } from "@/format/money";

const AMOUNTS = ["10", "25", "50", "100", "500"] as const;

const DOUBLE_CLICK_MS = 1_000;

/** Goes out with each try of the same decision, so that it is booked once: after a lost answer, and on a double click. */
interface Decision {
  idempotencyKey: string;
  at: number;
  isAnswered: boolean;
}

/** The balance, and buttons that add to it. */
export function TopUp({ balanceUsd }: { balanceUsd: string | undefined }) {
  const topUp = useTopUp();
  const decisions = useRef(new Map<string, Decision>());

  const add = (amountUsd: string) => {
    const before = decisions.current.get(amountUsd);
    const isSame = before && (!before.isAnswered || Date.now() - before.at < DOUBLE_CLICK_MS);
    const decision = isSame ? before : { idempotencyKey: crypto.randomUUID(), at: Date.now(), isAnswered: false };
    decisions.current.set(amountUsd, decision);
    topUp.mutate(
      { amountUsd, idempotencyKey: decision.idempotencyKey },
      { onSuccess: () => decisions.current.set(amountUsd, { ...decision, isAnswered: true }) },
    );
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
