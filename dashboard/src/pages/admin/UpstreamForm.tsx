import {
  Button,
  Group,
  Modal,
  MultiSelect,
  NumberInput,
  PasswordInput,
  Select,
  SimpleGrid,
  Stack,
  Switch,
  TextInput,
} from "@mantine/core";
import { useForm } from "@mantine/form";
import { notifications } from "@mantine/notifications";
import { useEffect } from "react";
import { type Upstream, useSetUpstream } from "@/api/adminUpstreams";
import { showFailure } from "./failure";
import { ReasonInput } from "./Reasoned";
import { fieldsOf, toBody, type UpstreamFields, validateUpstream } from "./upstreamFields";

interface Props {
  /** A new upstream, one to change, or null: closed. */
  subject: "new" | Upstream | null;
  onClose: () => void;
}

/** Adds an upstream or changes one. A credential goes in and never comes out. */
export function UpstreamForm({ subject, onClose }: Props) {
  const upstream = subject === "new" ? null : subject;
  const set = useSetUpstream();
  const form = useForm<UpstreamFields>({ initialValues: fieldsOf(null), validate: validateUpstream });
  const { setValues, clearErrors } = form;
  useEffect(() => {
    // Also when it closes: no credential stays behind.
    setValues(fieldsOf(subject === "new" ? null : subject));
    clearErrors();
  }, [subject, setValues, clearErrors]);

  const submit = form.onSubmit((fields) => {
    const name = fields.name.trim();
    set.mutate(
      { name, body: toBody(fields) },
      {
        onSuccess: () => {
          notifications.show({ message: `The upstream “${name}” is ${upstream ? "changed" : "added"}.` });
          onClose();
        },
        onError: (error) => showFailure(error, form),
      },
    );
  });
  const { kind, dropsCredential, base_url } = form.values;
  const moves = upstream?.has_credential === true && base_url.trim() !== upstream.base_url;
  const most = { min: 1, allowDecimal: false, allowNegative: false, thousandSeparator: "," } as const;

  return (
    <Modal opened={subject !== null} onClose={onClose} title={upstream ? `Edit ${upstream.name}` : "Add an upstream"}>
      <form onSubmit={submit} noValidate autoComplete="off">
        <Stack gap="sm">
          {!upstream && (
            <TextInput
              label="Name"
              placeholder="ollama-2"
              maxLength={63}
              data-autofocus
              {...form.getInputProps("name")}
            />
          )}
          <Select
            label="Kind"
            data={[
              { value: "ollama", label: "Ollama" },
              { value: "litellm", label: "LiteLLM" },
              { value: "openai", label: "Other, with OpenAI’s API" },
            ]}
            allowDeselect={false}
            {...form.getInputProps("kind")}
          />
          <TextInput
            label="Address"
            placeholder="http://ollama-2:11434"
            inputMode="url"
            {...(upstream && { "data-autofocus": true })}
            {...form.getInputProps("base_url")}
          />
          <PasswordInput
            label="Credential"
            description={
              moves
                ? "Type it again if the address is another server: a stored one is never sent elsewhere."
                : "The bearer token that it wants, if any. It cannot be read here later."
            }
            placeholder={upstream?.has_credential ? "Stored; empty: it stays" : "None"}
            autoComplete="new-password"
            maxLength={4096}
            disabled={dropsCredential}
            {...form.getInputProps("credential")}
          />
          {upstream?.has_credential && (
            <Switch
              label="Forget the stored credential"
              {...form.getInputProps("dropsCredential", { type: "checkbox" })}
            />
          )}
          <SimpleGrid cols={2} spacing="sm">
            <NumberInput
              label="Most in flight"
              description="From one edge"
              placeholder="No limit"
              {...most}
              {...form.getInputProps("max_in_flight")}
            />
            <NumberInput
              label="Most that wait"
              description="In one edge"
              placeholder="As many"
              {...most}
              {...form.getInputProps("max_queued")}
            />
          </SimpleGrid>
          <MultiSelect
            label="Speaks as well"
            description="Beside OpenAI’s chat completions."
            data={[
              { value: "messages", label: "Anthropic’s messages" },
              { value: "responses", label: "OpenAI’s responses" },
            ]}
            clearable
            {...form.getInputProps("dialects")}
          />
          {kind === "litellm" && (
            <Switch
              label="Virtual keys"
              description="Each API key has a virtual key there."
              {...form.getInputProps("virtual_keys", { type: "checkbox" })}
            />
          )}
          <ReasonInput {...form.getInputProps("reason")} />
          <Group justify="flex-end" mt="xs">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={set.isPending}>
              {upstream ? "Save" : "Add upstream"}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
