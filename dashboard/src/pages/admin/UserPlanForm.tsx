import { Button, Group, Modal, Select, Stack, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { adminPlans } from "@/api/adminCatalogue";
import { type AdminUser, useChangePlan } from "@/api/adminUsers";
import { formatUsd } from "@/format/money";
import { formatCount } from "@/format/numbers";
import { showFailure } from "./failure";
import { ReasonInput } from "./Reasoned";

interface Props {
  user: AdminUser;
  account: NonNullable<AdminUser["account"]>;
  opened: boolean;
  onClose: () => void;
}

/** Moves an account to another plan. */
export function UserPlanForm({ opened, ...form }: Props) {
  return (
    <Modal opened={opened} onClose={form.onClose} title={`Change the plan of ${form.user.email}`}>
      <Choice {...form} />
    </Modal>
  );
}

/** Lives as long as the dialog is open, so that each begins empty. */
function Choice({ user, account, onClose }: Omit<Props, "opened">) {
  const plans = useQuery(adminPlans).data ?? [];
  const change = useChangePlan(user.id);
  const [chosen, setChosen] = useState<string | null>(null);
  const [reason, setReason] = useState("");
  const plan = plans.find((each) => each.id === chosen);

  const submit = () =>
    plan &&
    change.mutate(
      { plan: plan.id, reason: reason.trim() },
      {
        onSuccess: ({ granted_usd }) => {
          const granted =
            granted_usd === "0.00"
              ? "This month’s credit of it was granted before."
              : `${formatUsd(granted_usd)} came with it.`;
          notifications.show({ message: `${user.email} is on the plan “${plan.name}” now. ${granted}` });
          onClose();
        },
        onError: (error) => showFailure(error),
      },
    );

  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <Stack gap="sm">
        <Select
          label="Plan"
          description={`At present: ${account.plan_name}`}
          placeholder="Choose a plan"
          data={plans.filter(({ id }) => id !== account.plan_name).map(({ id, name }) => ({ value: id, label: name }))}
          value={chosen}
          onChange={setChosen}
          allowDeselect={false}
          data-autofocus
        />
        <ReasonInput value={reason} onChange={(event) => setReason(event.currentTarget.value)} />
        <Text size="sm" c="dimmed" mih={42} role="status">
          {plan &&
            `${formatUsd(plan.included_credits_usd)} of credit comes with it, unless this month’s was granted before. ` +
              `${formatCount(plan.rpm)} requests a minute, ${plan.all_models ? "all models" : `${plan.allowed_models.length} models`}. It holds at once.`}
        </Text>
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={change.isPending} disabled={!plan}>
            Change plan
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
