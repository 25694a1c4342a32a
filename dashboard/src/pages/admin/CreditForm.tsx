import { Button, Group, Modal, SegmentedControl, Stack, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { notifications } from "@mantine/notifications";
import { useEffect, useRef } from "react";
import { type AdminUser, useAdjustCredit } from "@/api/adminUsers";
import { formatNanos, formatUsd, parseUsd } from "@/format/money";
import { amountError, nanosOrNull } from "./amounts";
import { showFailure } from "./failure";

interface Props {
  user: AdminUser;
  account: NonNullable<AdminUser["account"]>;
  opened: boolean;
  onClose: () => void;
}

interface Fields {
  direction: "add" | "take";
  amount_usd: string;
  reason: string;
}

const EMPTY: Fields = { direction: "add", amount_usd: "", reason: "" };

/** Adds credit to an account or takes some, for a reason that its user sees. */
export function CreditForm({ user, account, opened, onClose }: Props) {
  const adjust = useAdjustCredit(user.id);
  // One for each decision: when an answer is lost and the button is pressed again, the same one goes out.
  const unanswered = useRef<{ decision: string; key: string } | null>(null);
  const form = useForm<Fields>({
    initialValues: EMPTY,
    validate: {
      amount_usd: (text) => amountError(text) ?? (parseUsd(text) === 0n ? "Give an amount above 0." : null),
      reason: (text) => (text.trim() ? null : "Say why: it goes into the user’s ledger and the audit log."),
    },
  });
  const { reset } = form;
  useEffect(() => {
    if (opened) reset();
  }, [opened, reset]);

  const { direction, amount_usd } = form.values;
  const nanos = nanosOrNull(amount_usd);
  const after = nanos === null ? null : parseUsd(account.balance_usd) + (direction === "add" ? nanos : -nanos);

  const send = (fields: Fields) => {
    const amount = `${fields.direction === "take" ? "-" : ""}${fields.amount_usd.trim()}`;
    const reason = fields.reason.trim();
    const decision = `${amount} ${reason}`;
    if (unanswered.current?.decision !== decision) unanswered.current = { decision, key: crypto.randomUUID() };
    adjust.mutate(
      { amount_usd: amount, reason, idempotencyKey: unanswered.current.key },
      {
        onSuccess: ({ account: changed, transaction }) => {
          unanswered.current = null;
          const what = transaction.amount_usd.startsWith("-") ? "Taken from" : "Added to";
          const sum = formatUsd(transaction.amount_usd.replace("-", ""));
          notifications.show({ message: `${what} ${user.email}: ${sum}. Balance: ${formatUsd(changed.balance_usd)}.` });
          onClose();
        },
        onError: (error) => showFailure(error, form),
      },
    );
  };

  return (
    <Modal opened={opened} onClose={onClose} title={`Adjust the credit of ${user.email}`}>
      <form onSubmit={(event) => form.onSubmit(send)(event)} noValidate>
        <Stack gap="sm">
          <SegmentedControl
            aria-label="What to do"
            data={[
              { value: "add", label: "Add" },
              { value: "take", label: "Take" },
            ]}
            {...form.getInputProps("direction")}
          />
          <TextInput
            label="Amount"
            leftSection="$"
            inputMode="decimal"
            placeholder="5.00"
            data-autofocus
            {...form.getInputProps("amount_usd")}
          />
          <TextInput
            label="Reason"
            description="The user reads it in the ledger."
            placeholder="goodwill, refund, ..."
            maxLength={500}
            {...form.getInputProps("reason")}
          />
          <Text size="sm" c="dimmed" className="tabular" role="status">
            Balance: {formatUsd(account.balance_usd)}
            {after !== null && `, after it ${formatNanos(after)}`}
          </Text>
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={adjust.isPending} {...(direction === "take" && { color: "red" })}>
              {direction === "add" ? "Add credit" : "Take credit"}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
