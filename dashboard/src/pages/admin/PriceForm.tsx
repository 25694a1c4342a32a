import { Alert, Button, Group, Stack, Text } from "@mantine/core";
import { useForm } from "@mantine/form";
import { notifications } from "@mantine/notifications";
import { Calculator } from "lucide-react";
import { useState } from "react";
import { type ConfiguredModel, type Estimate, usePreviewPrices, useSetPrices } from "@/api/adminCatalogue";
import { formatUsd } from "@/format/money";
import { plural } from "@/format/numbers";
import { showFailure } from "./failure";
import { type PriceFields, priceFieldsOf, toPrices, priceErrors } from "./modelFields";
import { PriceInputs } from "./PriceInputs";
import { ReasonInput } from "./Reasoned";

/** A new price: first what it would have come to, then its confirmation. */
export function PriceForm({ model, onDone }: { model: ConfiguredModel; onDone: () => void }) {
  const preview = usePreviewPrices();
  const set = useSetPrices();
  const [reason, setReason] = useState("");
  const form = useForm<{ prices: PriceFields }>({
    initialValues: { prices: priceFieldsOf(model.prices) },
    validate: ({ prices }) => priceErrors(prices),
    // What was shown holds for the prices that it was shown for.
    onValuesChange: () => preview.reset(),
  });
  const body = { model: model.public_name, prices: toPrices(form.values.prices) };
  const onError = (error: unknown) => showFailure(error, form);

  const submit = form.onSubmit(() => {
    if (!preview.data) return preview.mutate(body, { onError });
    return set.mutate(
      { ...body, reason: reason.trim() },
      {
        onSuccess: () => {
          notifications.show({ message: `${model.public_name} has its new price.` });
          onDone();
        },
        onError,
      },
    );
  });

  return (
    <form onSubmit={submit} noValidate>
      <Stack gap="sm">
        <PriceInputs form={form} isChat={model.kind === "chat"} />
        <div role="status">
          {preview.data && (
            <Alert icon={<Calculator size={18} />} title="With these prices">
              <Told when="Last month" estimate={preview.data.last_month} />
              <Told when="This month so far" estimate={preview.data.this_month} />
              <Text size="xs" mt={6}>
                About, since each call is rounded up by itself.
              </Text>
            </Alert>
          )}
        </div>
        {preview.data && <ReasonInput value={reason} onChange={(event) => setReason(event.currentTarget.value)} />}
        <Group justify="flex-end">
          {preview.data && (
            <Button variant="default" onClick={() => preview.reset()}>
              Back
            </Button>
          )}
          <Button type="submit" loading={preview.isPending || set.isPending}>
            {preview.data ? "Set this price" : "Preview"}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

function Told({ when, estimate }: { when: string; estimate: Estimate }) {
  return (
    <Text size="sm" className="tabular">
      {estimate.requests === 0
        ? `${when}: it was not used.`
        : `${when} would have cost about ${formatUsd(estimate.would_cost_usd)} instead of ${formatUsd(estimate.charged_usd)} (${plural(estimate.requests, "request")}).`}
    </Text>
  );
}
