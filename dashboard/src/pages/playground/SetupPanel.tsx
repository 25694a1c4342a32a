import { Button, Group, NumberInput, Select, SimpleGrid, Stack, TagsInput, Text, Textarea } from "@mantine/core";
import { Columns2, X } from "lucide-react";
import type { Model } from "@/api/catalogue";
import type { Key } from "@/api/keys";
import { formatUsd } from "@/format/money";
import { formatCompact } from "@/format/numbers";
import type { Parameters } from "./request";
import type { Setup } from "./storage";
import type { Picks } from "./useConversation";

interface Props {
  setup: Setup;
  picks: Picks;
  keys: readonly Key[];
  models: readonly Model[];
  /** The model that is wanted, and can't be used. */
  refused: string | null;
  onChange: (change: Partial<Setup>) => void;
  onModel: (name: string) => void;
}

/** What is set beside the conversation: who asks, who answers, and how. */
export function SetupPanel({ setup, picks, keys, models, refused, onChange, onModel }: Props) {
  const { parameters } = setup;
  const setParameter = (change: Partial<Parameters>) => onChange({ parameters: { ...parameters, ...change } });
  const model = models.find(({ public_name: name }) => name === picks.models.a);

  return (
    <Stack gap="md">
      <ModelSelect
        label="Model"
        value={picks.models.a}
        models={models}
        onChange={onModel}
        error={refused && `Your plan or this key does not allow ${refused}. Choose another model.`}
      />
      {picks.models.b === null ? (
        <Button
          variant="default"
          size="sm"
          leftSection={<Columns2 size={15} aria-hidden />}
          disabled={models.length === 0}
          onClick={() => onChange({ beside: (models.find((other) => other !== model) ?? models[0])!.public_name })}
        >
          Compare with another model
        </Button>
      ) : (
        <Stack gap={6}>
          <ModelSelect
            label="Beside it"
            value={picks.models.b}
            models={models}
            onChange={(name) => onChange({ beside: name })}
          />
          <Button
            variant="subtle"
            color="gray"
            size="sm"
            leftSection={<X size={15} aria-hidden />}
            onClick={() => onChange({ beside: null })}
          >
            Use one model only
          </Button>
        </Stack>
      )}
      <Select
        label="API key"
        description="Calls count towards its limits."
        value={picks.keyId}
        data={keys.map(({ id, name, key_prefix }) => ({ value: id, label: `${name} (${key_prefix}…)` }))}
        allowDeselect={false}
        searchable={keys.length > 10}
        onChange={(keyId) => keyId && onChange({ keyId })}
      />
      <Textarea
        label="System prompt"
        placeholder="How the model is to behave"
        autosize
        minRows={2}
        maxRows={8}
        value={setup.system}
        onChange={(event) => onChange({ system: event.currentTarget.value })}
      />
      <Text size="xs" c="dimmed" mb={-8}>
        Parameters that are empty are not sent; the model’s own defaults hold.
      </Text>
      <SimpleGrid cols={2} spacing="sm">
        <Figure
          label="Temperature"
          value={parameters.temperature}
          max={2}
          step={0.1}
          onChange={(temperature) => setParameter({ temperature })}
        />
        <Figure label="Top P" value={parameters.topP} max={1} step={0.05} onChange={(topP) => setParameter({ topP })} />
      </SimpleGrid>
      <Figure
        label="Max tokens"
        value={parameters.maxTokens}
        min={1}
        max={model?.max_output_tokens || undefined}
        step={50}
        whole
        onChange={(maxTokens) => setParameter({ maxTokens })}
      />
      <TagsInput
        label="Stop sequences"
        description="The answer ends before one of them. Press Enter after each."
        value={parameters.stop}
        maxTags={4}
        splitChars={[]}
        acceptValueOnBlur
        onChange={(stop) => setParameter({ stop })}
      />
    </Stack>
  );
}

interface ModelSelectProps {
  label: string;
  value: string | null;
  models: readonly Model[];
  onChange: (name: string) => void;
  error?: string | null;
}

function ModelSelect({ label, value, models, onChange, error }: ModelSelectProps) {
  const byName = new Map(models.map((model) => [model.public_name, model]));
  return (
    <Select
      label={label}
      value={byName.has(value ?? "") ? value : null}
      data={[...byName.keys()]}
      placeholder="Choose a model"
      nothingFoundMessage="No model of that name"
      searchable
      allowDeselect={false}
      error={error}
      onChange={(name) => name && onChange(name)}
      renderOption={({ option }) => <Option model={byName.get(option.value)} name={option.value} />}
    />
  );
}

function Option({ model, name }: { model: Model | undefined; name: string }) {
  return (
    <div style={{ minWidth: 0 }}>
      <Text size="sm" truncate title={name}>
        {name}
      </Text>
      {model && (
        <Group gap={4} fz="xs" c="dimmed" className="tabular">
          {formatUsd(model.input_usd_per_mtok)} in, {formatUsd(model.output_usd_per_mtok)} out per 1M tokens,{" "}
          {formatCompact(model.context_tokens)} context
        </Group>
      )}
    </div>
  );
}

interface FigureProps {
  label: string;
  value: number | null;
  min?: number;
  max?: number | undefined;
  step: number;
  whole?: boolean;
  onChange: (value: number | null) => void;
}

function Figure({ label, value, min = 0, max, step, whole = false, onChange }: FigureProps) {
  return (
    <NumberInput
      label={label}
      placeholder="Default"
      value={value ?? ""}
      min={min}
      {...(max !== undefined && { max })}
      step={step}
      clampBehavior="blur"
      allowDecimal={!whole}
      decimalScale={whole ? 0 : 2}
      allowNegative={false}
      onChange={(next) => onChange(typeof next === "number" ? next : null)}
    />
  );
}
