import {
  ActionIcon,
  Button,
  Fieldset,
  Group,
  NumberInput,
  Select,
  SimpleGrid,
  Stack,
  Text,
  TextInput,
} from "@mantine/core";
import type { UseFormReturnType } from "@mantine/form";
import { Plus, Trash2 } from "lucide-react";
import { type ModelFields, newRoute } from "./modelFields";
import { More } from "./More";

const LIMITS = [
  { name: "connect_timeout_ms", label: "Connect", placeholder: "5,000" },
  { name: "first_byte_timeout_ms", label: "First byte", placeholder: "300,000" },
  { name: "idle_timeout_ms", label: "Silence", placeholder: "120,000" },
  { name: "total_timeout_ms", label: "Whole call", placeholder: "3,600,000" },
] as const;

/** Where a model is served. */
export function RouteInputs({ form, upstreams }: { form: UseFormReturnType<ModelFields>; upstreams: string[] }) {
  const { routes } = form.values;
  return (
    <Fieldset legend="Routes" radius="md">
      <Stack gap="md">
        <Text size="xs" c="dimmed">
          Routes with the lowest order share the calls by weight; those with a higher one are used while all lower ones
          are unhealthy.
        </Text>
        {routes.map((route, index) => (
          <div key={route.key} role="group" aria-label={`Route ${index + 1}`}>
            <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="xs">
              <Select
                label="Upstream"
                data={upstreams}
                allowDeselect={false}
                {...form.getInputProps(`routes.${index}.upstream_name`)}
              />
              <TextInput
                label="Model there"
                maxLength={200}
                {...form.getInputProps(`routes.${index}.upstream_model`)}
              />
            </SimpleGrid>
            <Group align="flex-end" gap="xs" mt={6}>
              <NumberInput
                label="Order"
                min={0}
                max={100}
                allowDecimal={false}
                w={90}
                {...form.getInputProps(`routes.${index}.position`)}
              />
              <NumberInput
                label="Weight"
                min={1}
                max={1000}
                allowDecimal={false}
                w={90}
                {...form.getInputProps(`routes.${index}.weight`)}
              />
              {routes.length > 1 && (
                <ActionIcon
                  variant="subtle"
                  color="red"
                  size={36}
                  onClick={() => form.removeListItem("routes", index)}
                  aria-label={`Remove route ${index + 1}`}
                >
                  <Trash2 size={16} />
                </ActionIcon>
              )}
            </Group>
            <More label="Time limits (milliseconds)">
              <SimpleGrid cols={{ base: 2, xs: 4 }} spacing="xs">
                {LIMITS.map(({ name, label, placeholder }) => (
                  <NumberInput
                    key={name}
                    label={label}
                    placeholder={placeholder}
                    min={1}
                    allowDecimal={false}
                    thousandSeparator=","
                    {...form.getInputProps(`routes.${index}.${name}`)}
                  />
                ))}
              </SimpleGrid>
            </More>
          </div>
        ))}
        <Button
          variant="light"
          size="xs"
          leftSection={<Plus size={14} aria-hidden />}
          onClick={() => form.insertListItem("routes", newRoute(upstreams[0] ?? ""))}
          disabled={routes.length >= 20}
          style={{ alignSelf: "flex-start" }}
        >
          Add route
        </Button>
      </Stack>
    </Fieldset>
  );
}
