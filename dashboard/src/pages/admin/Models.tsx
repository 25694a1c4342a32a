import { Button, Card, Group, Stack, Text, Tooltip, VisuallyHidden } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Boxes, Plus } from "lucide-react";
import { useMemo, useState } from "react";
import { adminModels, type ConfiguredModel } from "@/api/adminCatalogue";
import { type Columns, columnsOf, DataTable } from "@/components/DataTable";
import { PageHeader } from "@/components/PageHeader";
import { EmptyState, ErrorState } from "@/components/states";
import { formatUsd } from "@/format/money";
import { formatCompact, plural } from "@/format/numbers";
import { Label } from "./Labels";
import { ModelForm } from "./ModelForm";
import { PricesOf } from "./PricesOf";

interface Acts {
  edit: (model: ConfiguredModel) => void;
  price: (model: ConfiguredModel) => void;
}

/** Every model with its routes and prices, hidden ones too. */
export default function Models() {
  const all = useQuery(adminModels);
  const [form, setForm] = useState<"new" | ConfiguredModel | null>(null);
  const [priced, setPriced] = useState<ConfiguredModel | null>(null);
  const columns = useMemo(() => columnsFor({ edit: setForm, price: setPriced }), []);

  return (
    <>
      <PageHeader
        title="Models and prices"
        subtitle="Prices are in US dollars for a million tokens. A change holds for calls that begin after it."
        actions={
          <Button leftSection={<Plus size={16} aria-hidden />} onClick={() => setForm("new")}>
            Add model
          </Button>
        }
      />
      {all.isError ? (
        <ErrorState error={all.error} retry={() => void all.refetch()} />
      ) : (
        <Card p="xs">
          <DataTable
            label="Models"
            columns={columns}
            rows={all.data}
            rowKey={(model) => model.public_name}
            expectedRows={5}
            minWidth={860}
            empty={
              <EmptyState icon={Boxes} title="No models yet">
                A model is a name that callers use, where it is served, and what it costs.
              </EmptyState>
            }
          />
        </Card>
      )}
      <ModelForm subject={form} onClose={() => setForm(null)} />
      <PricesOf model={priced} onClose={() => setPriced(null)} />
    </>
  );
}

function columnsFor({ edit, price }: Acts): Columns<ConfiguredModel> {
  const of = columnsOf<ConfiguredModel>();
  const usd = (text: string) => <span className="tabular">{formatUsd(text)}</span>;
  return [
    of.accessor("public_name", {
      header: "Model",
      cell: ({ row: { original: model } }) => (
        <Stack gap={0}>
          <Text size="sm" fw={500} truncate maw={240} title={model.public_name}>
            {model.public_name}
          </Text>
          <Text size="xs" c="dimmed">
            {[...new Set([model.kind, model.family])].filter(Boolean).join(", ")}
          </Text>
        </Stack>
      ),
    }),
    of.accessor("status", {
      header: "Visibility",
      cell: ({ getValue }) => (getValue() === "active" ? <Label color="jade">Visible</Label> : <Label>Hidden</Label>),
    }),
    of.accessor("routes", {
      header: "Served by",
      cell: ({ row: { original: model } }) => <Served model={model} />,
    }),
    of.accessor("context_tokens", {
      header: "Context",
      meta: { align: "right" },
      cell: ({ getValue }) => <span className="tabular">{formatCompact(getValue())}</span>,
    }),
    of.accessor("prices.input_usd_per_mtok", {
      header: "Input",
      meta: { align: "right" },
      cell: ({ getValue }) => usd(getValue()),
    }),
    of.accessor("prices.output_usd_per_mtok", {
      header: "Output",
      meta: { align: "right" },
      cell: ({ row, getValue }) => (row.original.kind === "chat" ? usd(getValue()) : "–"),
    }),
    of.display({
      id: "acts",
      header: () => <VisuallyHidden>Actions</VisuallyHidden>,
      meta: { align: "right" },
      cell: ({ row: { original: model } }) => (
        <Group gap={6} wrap="nowrap" justify="flex-end">
          <Button
            size="xs"
            h={36}
            variant="light"
            onClick={() => price(model)}
            aria-label={`Prices of ${model.public_name}`}
          >
            Prices
          </Button>
          <Button
            size="xs"
            h={36}
            variant="default"
            onClick={() => edit(model)}
            aria-label={`Edit ${model.public_name}`}
          >
            Edit
          </Button>
        </Group>
      ),
    }),
  ];
}

function Served({ model }: { model: ConfiguredModel }) {
  const routes = model.routes.toSorted((a, b) => (a.position ?? 0) - (b.position ?? 0));
  const first = routes[0];
  return (
    <Tooltip
      label={
        <>
          {routes.map((route) => (
            <div key={`${route.position} ${route.upstream_name} ${route.upstream_model}`}>
              {route.position}. {route.upstream_name}: {route.upstream_model}, weight {route.weight}
            </div>
          ))}
          {model.fallback_models.length > 0 && <div>Falls back on {model.fallback_models.join(", ")}</div>}
        </>
      }
    >
      <Stack gap={0} tabIndex={0} maw={220}>
        <Text size="sm" truncate>
          {first ? `${first.upstream_name}: ${first.upstream_model}` : "Nothing"}
        </Text>
        <Text size="xs" c="dimmed" truncate>
          {[
            routes.length > 1 && plural(routes.length, "route"),
            model.fallback_models.length > 0 && plural(model.fallback_models.length, "fall-back"),
          ]
            .filter(Boolean)
            .join(", ")}
        </Text>
      </Stack>
    </Tooltip>
  );
}
