import { SimpleGrid, TextInput } from "@mantine/core";

const RATES = [
  { name: "input_usd_per_mtok", label: "Input", placeholder: "0.10" },
  { name: "cached_input_usd_per_mtok", label: "Cached input", placeholder: "As input" },
  { name: "cache_write_input_usd_per_mtok", label: "Cache write", placeholder: "As input" },
  { name: "output_usd_per_mtok", label: "Output", placeholder: "0.30" },
] as const;

interface Props {
  /** Any form that has the four as `prices`. */
  form: { getInputProps: (path: string) => object };
  isChat: boolean;
}

/** What a million tokens cost, by their class. */
export function PriceInputs({ form, isChat }: Props) {
  return (
    <SimpleGrid cols={{ base: 2, xs: 4 }} spacing="xs">
      {RATES.map(({ name, label, placeholder }) => (
        <TextInput
          key={name}
          label={label}
          placeholder={name === "output_usd_per_mtok" && !isChat ? "0" : placeholder}
          leftSection="$"
          inputMode="decimal"
          {...form.getInputProps(`prices.${name}`)}
        />
      ))}
    </SimpleGrid>
  );
}
