import {
  Button,
  Fieldset,
  Group,
  Modal,
  MultiSelect,
  NumberInput,
  Select,
  Stack,
  Switch,
  TextInput,
} from "@mantine/core";
import { useForm } from "@mantine/form";
import { notifications } from "@mantine/notifications";
import { useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { adminModels, type ConfiguredModel, useAddModel, useChangeModel } from "@/api/adminCatalogue";
import { upstreams } from "@/api/adminUpstreams";
import { showFailure } from "./failure";
import { fieldsOf, type ModelFields, toModelChange, toNewModel, validateModel } from "./modelFields";
import { More } from "./More";
import { PriceInputs } from "./PriceInputs";
import { ReasonInput } from "./Reasoned";
import { RouteInputs } from "./RouteInputs";

interface Props {
  /** A new model, one to change, or null: closed. */
  subject: "new" | ConfiguredModel | null;
  onClose: () => void;
}

/** Adds a model or changes how one is served. Prices of one that is there have a form of their own. */
export function ModelForm({ subject, onClose }: Props) {
  const model = subject === "new" ? null : subject;
  const add = useAddModel();
  const change = useChangeModel();
  const others = (useQuery(adminModels).data ?? []).filter((each) => each.public_name !== model?.public_name);
  const servers = (useQuery(upstreams).data ?? []).map(({ name }) => name);
  const form = useForm<ModelFields>({
    initialValues: fieldsOf(null, ""),
    validate: (fields) => validateModel(fields, subject === "new"),
  });
  const { setValues, clearErrors } = form;
  const first = servers[0] ?? "";

  useEffect(() => {
    if (!subject) return;
    setValues(fieldsOf(subject === "new" ? null : subject, first));
    clearErrors();
  }, [subject, first, setValues, clearErrors]);

  const done = (message: string) => {
    notifications.show({ message });
    onClose();
  };
  const onError = (error: unknown) => showFailure(error, form);
  const submit = form.onSubmit((fields) => {
    if (!model) {
      const body = toNewModel(fields);
      return add.mutate(body, { onSuccess: () => done(`The model “${body.public_name}” is added.`), onError });
    }
    const body = toModelChange(fields, model);
    if (Object.keys(body).length === 0) return onClose();
    return change.mutate(
      { name: model.public_name, body: { ...body, reason: fields.reason.trim() } },
      { onSuccess: () => done(`The model “${model.public_name}” is changed.`), onError },
    );
  });
  const isChat = form.values.kind === "chat";
  const count = { min: 0, allowDecimal: false, allowNegative: false, thousandSeparator: "," } as const;

  return (
    <Modal
      opened={subject !== null}
      onClose={onClose}
      size="lg"
      title={model ? `Edit ${model.public_name}` : "Add a model"}
    >
      <form onSubmit={submit} noValidate>
        <Stack gap="sm">
          {!model && (
            <Group grow align="flex-start">
              <TextInput
                label="Name"
                placeholder="privaterouter/small"
                maxLength={100}
                data-autofocus
                {...form.getInputProps("public_name")}
              />
              <Select
                label="Kind"
                data={[
                  { value: "chat", label: "Chat" },
                  { value: "embedding", label: "Embedding" },
                ]}
                allowDeselect={false}
                {...form.getInputProps("kind")}
              />
            </Group>
          )}
          <Switch
            label="Visible"
            description="Hidden: to callers it does not exist, and it is in no list of theirs."
            {...form.getInputProps("isVisible", { type: "checkbox" })}
          />
          <RouteInputs form={form} upstreams={servers} />
          <Group grow align="flex-start">
            <NumberInput
              label="Context"
              description="Tokens of prompt and answer"
              {...count}
              {...form.getInputProps("context_tokens")}
            />
            {isChat ? (
              <NumberInput
                label="Longest answer"
                description="Tokens"
                placeholder={model ? "" : "Half of the context"}
                {...count}
                {...form.getInputProps("max_output_tokens")}
              />
            ) : (
              <NumberInput
                label="Dimensions"
                description="Of an embedding"
                {...count}
                {...form.getInputProps("dimensions")}
              />
            )}
          </Group>
          {!model && (
            <Fieldset legend="Price of a million tokens" radius="md">
              <PriceInputs form={form} isChat={isChat} />
            </Fieldset>
          )}
          <MultiSelect
            label="Fall-backs"
            description="Models that answer in its place, in this order, each at its own price."
            data={others.filter(({ kind }) => kind === form.values.kind).map((each) => each.public_name)}
            maxValues={5}
            searchable
            clearable
            {...form.getInputProps("fallback_models")}
          />
          <More>
            <TextInput label="Family" placeholder="gemma, qwen, ..." maxLength={50} {...form.getInputProps("family")} />
            <TextInput
              label="Model behind it"
              description="For people to read."
              maxLength={200}
              {...form.getInputProps("upstream_model")}
            />
            <Select
              label="Keeps to a route"
              description="So that what one server has cached is used again."
              data={[
                { value: "", label: "No: by weight alone" },
                { value: "prompt_prefix", label: "Prompts that begin alike" },
                { value: "user", label: "Calls of the same user" },
              ]}
              allowDeselect={false}
              {...form.getInputProps("sticky")}
            />
            <Group grow align="flex-start">
              <NumberInput
                label="Template"
                description="Most tokens"
                {...count}
                {...form.getInputProps("template_tokens")}
              />
              <NumberInput label="Tools" description="Most tokens" {...count} {...form.getInputProps("tools_tokens")} />
              <NumberInput
                label="One image"
                description="Most tokens"
                {...count}
                {...form.getInputProps("image_tokens")}
              />
            </Group>
          </More>
          <ReasonInput {...form.getInputProps("reason")} />
          <Group justify="flex-end" mt="xs">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={add.isPending || change.isPending}>
              {model ? "Save" : "Add model"}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
