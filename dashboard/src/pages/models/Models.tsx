import { ButtonLink } from "@/components/links";
import {
  ActionIcon,
  Badge,
  Card,
  CopyButton,
  Group,
  SegmentedControl,
  Stack,
  Text,
  TextInput,
  Tooltip,
} from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Boxes, Check, Copy, Lock, MessagesSquare, Search } from "lucide-react";
import { useMemo, useState } from "react";
import { plans } from "@/api/account";
import { type Model, models, type Plan } from "@/api/catalogue";
import { columnsOf, type Columns, DataTable } from "@/components/DataTable";
import { PageHeader } from "@/components/PageHeader";
import { EmptyState, ErrorState } from "@/components/states";
import { formatUsd } from "@/format/money";
import { formatCompact } from "@/format/numbers";
import { allows, plansWith, useMyPlan } from "@/api/allowed";

const WHICH = [
  { value: "all", label: "All models" },
  { value: "mine", label: "In my plan" },
];

/** The catalogue: what each model costs, and whether the reader's plan has it. */
export default function Models() {
  const catalogue = useQuery(models);
  const offered = useQuery(plans);
  const [text, setText] = useState("");
  const [which, setWhich] = useState("all");

  const plan = useMyPlan();
  const shown = catalogue.data?.filter(
    (model) =>
      model.public_name.toLowerCase().includes(text.trim().toLowerCase()) &&
      (which === "all" || plan === undefined || allows(plan, model)),
  );
  const columns = useMemo(() => columnsFor(plan, offered.data ?? []), [plan, offered.data]);

  return (
    <>
      <PageHeader
        title="Models"
        subtitle="Prices are in US dollars for a million tokens. You pay for what is used, to the nano-dollar."
      />
      <Group mb="md" gap="sm">
        <TextInput
          placeholder="Search models"
          aria-label="Search models"
          leftSection={<Search size={15} aria-hidden />}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
          flex={{ base: 1, xs: "0 1 260px" }}
        />
        <SegmentedControl data={WHICH} value={which} onChange={setWhich} aria-label="Which models" />
      </Group>
      {catalogue.isLoadingError ? (
        <ErrorState error={catalogue.error} retry={() => void catalogue.refetch()} />
      ) : (
        <Card p="xs">
          <DataTable
            label="Models and their prices"
            columns={columns}
            rows={shown}
            rowKey={(model) => model.public_name}
            expectedRows={6}
            minWidth={760}
            empty={
              <EmptyState icon={Boxes} title="No model matches">
                {catalogue.data?.length
                  ? "Search for something else, or show all models."
                  : "The operator has not added any yet."}
              </EmptyState>
            }
          />
        </Card>
      )}
    </>
  );
}

function columnsFor(plan: Plan | undefined, offered: readonly Plan[]): Columns<Model> {
  const of = columnsOf<Model>();
  const price = (usd: string) => <span className="tabular">{formatUsd(usd)}</span>;
  return [
    of.accessor("public_name", { header: "Model", cell: ({ row }) => <Name model={row.original} /> }),
    of.accessor("context_tokens", {
      header: "Context",
      meta: { align: "right" },
      cell: ({ getValue }) => <span className="tabular">{formatCompact(getValue())}</span>,
    }),
    of.accessor("input_usd_per_mtok", {
      header: "Input",
      meta: { align: "right" },
      cell: ({ getValue }) => price(getValue()),
    }),
    of.accessor("cached_input_usd_per_mtok", {
      header: "Cached input",
      meta: { align: "right" },
      cell: ({ getValue }) => price(getValue()),
    }),
    of.accessor("output_usd_per_mtok", {
      header: "Output",
      meta: { align: "right" },
      cell: ({ row, getValue }) => (row.original.kind === "chat" ? price(getValue()) : "–"),
    }),
    of.display({
      id: "mine",
      header: "Your plan",
      meta: { align: "right" },
      cell: ({ row }) => <Availability model={row.original} plan={plan} offered={offered} />,
    }),
  ];
}

function Name({ model }: { model: Model }) {
  return (
    <Stack gap={2}>
      <Group gap={4} wrap="nowrap">
        <Text fw={500} size="sm" truncate maw={300} title={model.public_name}>
          {model.public_name}
        </Text>
        <CopyButton value={model.public_name}>
          {({ copied, copy }) => (
            <Tooltip label={copied ? "Copied" : "Copy the name"}>
              <ActionIcon
                variant="subtle"
                color="gray"
                size={36}
                my={-6}
                onClick={copy}
                aria-label={`Copy ${model.public_name}`}
              >
                {copied ? <Check size={14} /> : <Copy size={14} />}
              </ActionIcon>
            </Tooltip>
          )}
        </CopyButton>
      </Group>
      <Group gap={6}>
        <Badge size="xs" variant="light" color={model.kind === "chat" ? "jade" : "blue"}>
          {model.kind}
        </Badge>
        <Text size="xs" c="dimmed">
          {model.family}
          {model.dimensions ? `, ${model.dimensions} dimensions` : ""}
        </Text>
      </Group>
    </Stack>
  );
}

function Availability({ model, plan, offered }: { model: Model; plan: Plan | undefined; offered: readonly Plan[] }) {
  if (!plan) return null;
  if (!allows(plan, model)) {
    const names = plansWith(model, offered);
    return (
      <Tooltip label={names.length ? `In: ${names.join(", ")}. Ask the operator to change your plan.` : "In no plan"}>
        <Badge variant="default" leftSection={<Lock size={10} aria-hidden />} tabIndex={0}>
          Not in {plan.name}
        </Badge>
      </Tooltip>
    );
  }
  if (model.kind !== "chat") return <Badge variant="light">Included</Badge>;
  return (
    <ButtonLink
      to="/playground"
      search={{ model: model.public_name }}
      size="xs"
      h={36}
      variant="light"
      leftSection={<MessagesSquare size={14} aria-hidden />}
      aria-label={`Try ${model.public_name}`}
    >
      Try it
    </ButtonLink>
  );
}
