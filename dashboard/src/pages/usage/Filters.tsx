import { Button, Group, Select, SimpleGrid, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { X } from "lucide-react";
import { models } from "@/api/catalogue";
import { keys } from "@/api/keys";
import { statusLabel } from "@/components/CallStatus";
import { isDay, type Period, PERIODS } from "@/format/period";
import { isFiltered, STATUSES, type UsageSearch } from "./search";

const PERIOD_LABELS: Record<Period, string> = {
  today: "Today",
  "7d": "Last 7 days",
  "30d": "Last 30 days",
  all: "All time",
  custom: "Custom",
};

interface Props {
  search: UsageSearch;
  keyName: (id: string) => string;
  onChange: (change: UsageSearch) => void;
  onClear: () => void;
}

/** Which calls are looked at; all of it stands in the address. */
export function Filters({ search, keyName, onChange, onClear }: Props) {
  const catalogue = useQuery(models).data ?? [];
  const known = useQuery(keys).data ?? [];
  const modelNames = withChosen(
    catalogue.map((model) => model.public_name),
    search.model,
  );
  const keyIds = withChosen(
    known.map((key) => key.id),
    search.key,
  );

  return (
    <>
      <SimpleGrid cols={{ base: 2, md: 4 }} spacing="sm">
        <Select
          label="Period"
          data={PERIODS.map((value) => ({ value, label: PERIOD_LABELS[value] }))}
          value={search.period ?? "30d"}
          allowDeselect={false}
          onChange={(period) =>
            onChange({ period: period === "30d" ? undefined : (period ?? undefined), from: undefined, to: undefined })
          }
        />
        <Select
          label="Model"
          placeholder="All models"
          data={modelNames}
          value={search.model ?? null}
          onChange={(model) => onChange({ model: model ?? undefined })}
          searchable
          clearable
          nothingFoundMessage="No such model"
        />
        <Select
          label="API key"
          placeholder="All keys"
          data={keyIds.map((id) => ({ value: id, label: keyName(id) }))}
          value={search.key ?? null}
          onChange={(key) => onChange({ key: key ?? undefined })}
          searchable
          clearable
          nothingFoundMessage="No such key"
        />
        <Select
          label="Status"
          placeholder="Any"
          data={STATUSES.map((value) => ({ value, label: statusLabel(value) }))}
          value={search.status ?? null}
          onChange={(status) => onChange({ status: status ?? undefined })}
          clearable
        />
      </SimpleGrid>
      <Group align="flex-end" mt="sm" gap="sm" mih={isFiltered(search) ? 36 : 0}>
        {search.period === "custom" && (
          <>
            <Day label="From" value={search.from} onChange={(from) => onChange({ from })} />
            <Day label="To" value={search.to} onChange={(to) => onChange({ to })} />
          </>
        )}
        {isFiltered(search) && (
          <Button variant="subtle" color="gray" leftSection={<X size={15} aria-hidden />} onClick={onClear}>
            Clear filters
          </Button>
        )}
      </Group>
    </>
  );
}

/** While a year is typed the field has days that make no sense yet, so it keeps what is typed to itself. */
function Day(props: { label: string; value: string | undefined; onChange: (day: string | undefined) => void }) {
  const { label, value, onChange } = props;
  return (
    <TextInput
      type="date"
      label={label}
      defaultValue={value}
      onChange={({ currentTarget: { value: typed } }) => {
        if (typed === "" || isDay(typed)) onChange(typed || undefined);
      }}
    />
  );
}

/** The choices, with the one of the address where it is none of them (any more). */
function withChosen(choices: string[], chosen: string | undefined): string[] {
  return chosen === undefined || choices.includes(chosen) ? choices : [...choices, chosen];
}
