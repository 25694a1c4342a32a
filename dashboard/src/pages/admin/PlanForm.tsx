import { Button, Group, Modal, MultiSelect, NumberInput, SimpleGrid, Stack, Switch, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { notifications } from "@mantine/notifications";
import { useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { adminModels, type Plan, useSetPlan } from "@/api/adminCatalogue";
import { showFailure } from "./failure";
import { fieldsOf, type PlanFields, toPlanChange, validatePlan } from "./planFields";
import { ReasonInput } from "./Reasoned";

/** Changes a plan for all who are on it. */
export function PlanForm({ plan, onClose }: { plan: Plan | null; onClose: () => void }) {
  const set = useSetPlan();
  const models = useQuery(adminModels).data ?? [];
  const form = useForm<PlanFields>({ initialValues: fieldsOf(null), validate: validatePlan });
  const { setValues, clearErrors } = form;
  useEffect(() => {
    if (!plan) return;
    setValues(fieldsOf(plan));
    clearErrors();
  }, [plan, setValues, clearErrors]);

  const submit = form.onSubmit((fields) => {
    if (!plan) return;
    const body = toPlanChange(fields, plan);
    if (Object.keys(body).length === 0) return onClose();
    set.mutate(
      { name: plan.id, body: { ...body, reason: fields.reason.trim() } },
      {
        onSuccess: (changed) => {
          notifications.show({ message: `The plan “${changed.name}” is changed.` });
          onClose();
        },
        onError: (error) => showFailure(error, form),
      },
    );
  });
  const limit = { min: 1, allowDecimal: false, allowNegative: false, thousandSeparator: "," } as const;

  return (
    <Modal opened={plan !== null} onClose={onClose} title={plan && `Edit the plan “${plan.name}”`}>
      <form onSubmit={submit} noValidate>
        <Stack gap="sm">
          <TextInput label="Name" maxLength={100} data-autofocus {...form.getInputProps("name")} />
          <SimpleGrid cols={2} spacing="sm">
            <TextInput
              label="Price a month"
              leftSection="$"
              inputMode="decimal"
              {...form.getInputProps("monthly_usd")}
            />
            <TextInput
              label="Credit with it"
              leftSection="$"
              inputMode="decimal"
              {...form.getInputProps("included_credits_usd")}
            />
            <NumberInput label="Requests a minute" {...limit} {...form.getInputProps("rpm")} />
            <NumberInput label="Tokens a minute" placeholder="No limit" {...limit} {...form.getInputProps("tpm")} />
            <NumberInput
              label="At the same time"
              placeholder="No limit"
              {...limit}
              {...form.getInputProps("max_in_flight")}
            />
            <NumberInput
              label="Tokens a month"
              placeholder="No limit"
              {...limit}
              {...form.getInputProps("monthly_quota_tokens")}
            />
          </SimpleGrid>
          <Switch
            label="All models"
            description="Also those that are added later."
            {...form.getInputProps("all_models", { type: "checkbox" })}
          />
          {!form.values.all_models && (
            <MultiSelect
              label="Models"
              data={models.map((model) => model.public_name)}
              searchable
              clearable
              {...form.getInputProps("allowed_models")}
            />
          )}
          <ReasonInput {...form.getInputProps("reason")} />
          <Group justify="flex-end" mt="xs">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={set.isPending}>
              Save
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
