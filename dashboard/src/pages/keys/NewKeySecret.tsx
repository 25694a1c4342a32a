import { Alert, Button, CopyButton, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { Check, Copy, Eye } from "lucide-react";
import { useMyChatModels } from "@/api/allowed";
import type { Schemas } from "@/api/client";
import { Snippets } from "@/components/Snippets";
import { baseUrlOf } from "@/format/snippets";

interface Props {
  /** Null: nothing to show. */
  created: Schemas["CreatedKey"] | null;
  onClose: () => void;
}

/** Shows the secret of a new key, once, with calls that carry it. It is held nowhere but here. */
export function NewKeySecret({ created, onClose }: Props) {
  const chat = useMyChatModels();
  if (!created) return null;
  const allowed = created.api_key.allowed_models;
  const model = chat.find((name) => allowed.length === 0 || allowed.includes(name)) ?? "privaterouter/fast";

  return (
    <Modal
      opened
      onClose={onClose}
      size="lg"
      title="Your new key"
      // A click beside it must not lose what cannot be shown again.
      closeOnClickOutside={false}
      closeOnEscape={false}
    >
      <Stack>
        <Alert color="orange" icon={<Eye size={18} />}>
          Copy it now. It is shown only this once: nobody can read it later, not even the operator.
        </Alert>
        <Group align="flex-end" wrap="nowrap" gap="xs">
          <TextInput
            label={created.api_key.name}
            value={created.key}
            readOnly
            flex={1}
            styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)" } }}
            onFocus={(event) => event.currentTarget.select()}
          />
          <CopyButton value={created.key} timeout={3000}>
            {({ copied, copy }) => (
              <Button
                onClick={copy}
                data-autofocus
                leftSection={copied ? <Check size={16} aria-hidden /> : <Copy size={16} aria-hidden />}
              >
                {copied ? "Copied" : "Copy key"}
              </Button>
            )}
          </CopyButton>
        </Group>
        <Text size="sm" fw={500}>
          Try it
        </Text>
        <Snippets call={{ baseUrl: baseUrlOf(window.location), apiKey: created.key, model }} />
        <Button variant="default" onClick={onClose}>
          I have saved it
        </Button>
      </Stack>
    </Modal>
  );
}
