import { Button, Card, Text, Tooltip, VisuallyHidden } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Activity } from "lucide-react";
import { useMemo, useState } from "react";
import { adminPlans, type Plan } from "@/api/adminCatalogue";
import { type Columns, columnsOf, DataTable } from "@/components/DataTable";
import { Money } from "@/components/Money";
import { PageHeader } from "@/components/PageHeader";
import { EmptyState, ErrorState } from "@/components/states";
import { formatCount, plural } from "@/format/numbers";
import { PlanForm } from "./PlanForm";

/** The plans and what they allow. */
export default function Plans() {
  const plans = useQuery(adminPlans);
  const [edited, setEdited] = useState<Plan | null>(null);
  const columns = useMemo(() => columnsFor(setEdited), []);
  return (
    <>
      <PageHeader title="Plans" subtitle="A change holds at once, for all accounts on the plan." />
      {plans.isError ? (
        <ErrorState error={plans.error} retry={() => void plans.refetch()} />
      ) : (
        <Card p="xs">
          <DataTable
            label="Plans"
            columns={columns}
            rows={plans.data}
            rowKey={(plan) => plan.id}
            expectedRows={4}
            minWidth={860}
            empty={
              <EmptyState icon={Activity} title="No plans">
                Plans come with the installation.
              </EmptyState>
            }
          />
        </Card>
      )}
      <PlanForm plan={edited} onClose={() => setEdited(null)} />
    </>
  );
}

function columnsFor(edit: (plan: Plan) => void): Columns<Plan> {
  const of = columnsOf<Plan>();
  const right = { align: "right" } as const;
  const limit = (value: number | null) => (
    <span className="tabular">{value === null ? "No limit" : formatCount(value)}</span>
  );
  return [
    of.accessor("name", {
      header: "Plan",
      cell: ({ row: { original: plan } }) => (
        <Text size="sm" fw={500} truncate maw={180} title={plan.name}>
          {plan.name}
        </Text>
      ),
    }),
    of.accessor("monthly_usd", { header: "A month", meta: right, cell: ({ getValue }) => <Money usd={getValue()} /> }),
    of.accessor("included_credits_usd", {
      header: "Credit",
      meta: right,
      cell: ({ getValue }) => <Money usd={getValue()} />,
    }),
    of.accessor("rpm", { header: "Requests a minute", meta: right, cell: ({ getValue }) => limit(getValue()) }),
    of.accessor("tpm", { header: "Tokens a minute", meta: right, cell: ({ getValue }) => limit(getValue()) }),
    of.accessor("max_in_flight", {
      header: "At the same time",
      meta: right,
      cell: ({ getValue }) => limit(getValue()),
    }),
    of.display({
      id: "models",
      header: "Models",
      cell: ({ row: { original: plan } }) =>
        plan.all_models ? (
          "All"
        ) : (
          <Tooltip label={plan.allowed_models.join(", ")} disabled={plan.allowed_models.length === 0}>
            <span tabIndex={0}>{plural(plan.allowed_models.length, "model")}</span>
          </Tooltip>
        ),
    }),
    of.display({
      id: "acts",
      header: () => <VisuallyHidden>Actions</VisuallyHidden>,
      meta: right,
      cell: ({ row: { original: plan } }) => (
        <Button size="xs" h={36} variant="default" onClick={() => edit(plan)} aria-label={`Edit ${plan.name}`}>
          Edit
        </Button>
      ),
    }),
  ];
}
