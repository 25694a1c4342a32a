import {
  Button,
  Collapse,
  Group,
  Modal,
  MultiSelect,
  NumberInput,
  Stack,
  Switch,
  TextInput,
  UnstyledButton,
} from "@mantine/core";
import { useForm } from "@mantine/form";
import { useDisclosure } from "@mantine/hooks";
import { notifications } from "@mantine/notifications";
import { useQuery } from "@tanstack/react-query";
import { ChevronDown } from "lucide-react";
import { useEffect } from "react";
import { models } from "@/api/catalogue";
import type { Schemas } from "@/api/client";
import { ApiError, messageOf } from "@/api/errors";
import { tellFailure } from "@/components/failure";
import { type Key, useChangeKey, useCreateKey } from "@/api/keys";
import { type Fields, fieldsOf, toBody, validate } from "./fields";

interface Props {
  /** A new key, one to change, or null: closed. */
  subject: "new" | Key | null;
  onClose: () => void;
  onCreated: (created: Schemas["CreatedKey"]) => void;
}

/** Creates a key or changes one. */
export function KeyForm({ subject, onClose, onCreated }: Props) {
  const create = useCreateKey();
  const change = useChangeKey();
  const catalogue = useQuery(models).data ?? [];
  const [more, { toggle, set }] = useDisclosure();
  const form = useForm<Fields>({ initialValues: fieldsOf(null), validate });
  const key = subject === "new" ? null : subject;
  const { setValues, clearErrors } = form;

  useEffect(() => {
    if (!subject) return;
    const fields = fieldsOf(key);
    setValues(fields);
    clearErrors();
    set(Boolean(fields.rpm || fields.tpm || fields.inFlight || fields.expires || fields.keepsAnswers));
  }, [subject, key, setValues, clearErrors, set]);

  const onError = (error: unknown) => {
    const field = error instanceof ApiError && error.param ? FIELD_OF[error.param] : undefined;
    if (field) form.setFieldError(field, messageOf(error));
    else tellFailure(error);
  };
  const submit = form.onSubmit((fields) => {
    const body = toBody(fields);
    if (!key) return create.mutate(body, { onSuccess: onCreated, onError });
    return change.mutate(
      { id: key.id, ...body },
      {
        onSuccess: () => {
          notifications.show({ message: `The key “${body.name}” is changed.` });
          onClose();
        },
        onError,
      },
    );
  });

  return (
    <Modal opened={subject !== null} onClose={onClose} title={key ? "Edit key" : "Create an API key"}>
      <form onSubmit={submit} noValidate>
        <Stack gap="sm">
          <TextInput
            label="Name"
            placeholder="laptop, production, ..."
            maxLength={100}
            data-autofocus
            required
            withAsterisk={false}
            {...form.getInputProps("name")}
          />
          <TextInput
            label="Monthly limit"
            description="The most it may spend in a month (UTC). Empty: no limit."
            leftSection="$"
            inputMode="decimal"
            placeholder="5.00"
            {...form.getInputProps("monthlyLimit")}
          />
          <MultiSelect
            label="Models"
            description="Empty: all that your plan has."
            data={catalogue.map((model) => model.public_name)}
            searchable
            clearable
            {...form.getInputProps("models")}
          />
          <UnstyledButton onClick={toggle} aria-expanded={more} fz="sm" c="dimmed" py={6}>
            <Group gap={4}>
              <ChevronDown size={15} style={{ rotate: more ? "180deg" : "0deg" }} aria-hidden />
              More limits
            </Group>
          </UnstyledButton>
          <Collapse expanded={more}>
            <Stack gap="sm">
              <NumberInput
                label="Requests a minute"
                placeholder="The plan's"
                min={1}
                allowDecimal={false}
                {...form.getInputProps("rpm")}
              />
              <NumberInput
                label="Tokens a minute"
                placeholder="The plan's"
                min={1}
                allowDecimal={false}
                {...form.getInputProps("tpm")}
              />
              <NumberInput
                label="Calls at the same time"
                placeholder="The plan's"
                min={1}
                allowDecimal={false}
                {...form.getInputProps("inFlight")}
              />
              <TextInput
                label="Expires"
                description="In your time zone. Empty: never."
                type="datetime-local"
                {...form.getInputProps("expires")}
              />
              <Switch
                label="Keep answers of repeated calls"
                description="For a day, for calls with an Idempotency-Key: who repeats one gets the answer again."
                {...form.getInputProps("keepsAnswers", { type: "checkbox" })}
              />
            </Stack>
          </Collapse>
          <Group justify="flex-end" mt="xs">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={create.isPending || change.isPending}>
              {key ? "Save" : "Create key"}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

/** Where an error of the API is shown. */
const FIELD_OF: Record<string, keyof Fields> = {
  name: "name",
  monthly_limit_usd: "monthlyLimit",
  allowed_models: "models",
  rpm_limit: "rpm",
  tpm_limit: "tpm",
  max_in_flight: "inFlight",
  expires_at: "expires",
};
