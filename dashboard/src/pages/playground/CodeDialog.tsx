import { Modal, SegmentedControl, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { CodeBlock } from "@/components/CodeBlock";
import { codeOf, type Language, LANGUAGES } from "./code";
import type { ChatRequest } from "./request";

interface Props {
  opened: boolean;
  onClose: () => void;
  /** One for each model that is asked. */
  requests: readonly ChatRequest[];
}

const CHOICES = Object.entries(LANGUAGES).map(([value, label]) => ({ value, label }));

/** The present request as code. */
export function CodeDialog({ opened, onClose, requests }: Props) {
  const [language, setLanguage] = useState<Language>("curl");
  const [index, setIndex] = useState("0");
  const request = requests[Number(index)] ?? requests[0];
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      title="This request as code"
      size="xl"
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <Stack gap="sm">
        <Text size="sm" c="dimmed">
          Put an API key into the variable PR_KEY first.
          {language !== "curl" && " It needs the package openai."}
        </Text>
        {requests.length > 1 && (
          <SegmentedControl
            aria-label="Model"
            fullWidth
            value={index}
            onChange={setIndex}
            data={requests.map(({ model }, position) => ({
              value: String(position),
              label: requests.every((other) => other.model === model) ? `${model} (${position + 1})` : model,
            }))}
          />
        )}
        <SegmentedControl
          aria-label="Language"
          value={language}
          onChange={(value) => setLanguage(value as Language)}
          data={CHOICES}
        />
        {request && (
          <CodeBlock
            code={codeOf(language, request, location.origin)}
            label={`The request for ${LANGUAGES[language]}`}
          />
        )}
      </Stack>
    </Modal>
  );
}
