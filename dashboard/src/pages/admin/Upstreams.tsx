import { Button, Card, Stack, Text, VisuallyHidden } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Network, Plus } from "lucide-react";
import { useMemo, useState } from "react";
import { type Upstream, upstreams } from "@/api/adminUpstreams";
import { type Columns, columnsOf, DataTable } from "@/components/DataTable";
import { PageHeader } from "@/components/PageHeader";
import { EmptyState, ErrorState } from "@/components/states";
import { formatCount } from "@/format/numbers";
import { formatDuration } from "@/format/time";
import { HealthLabel } from "./HealthLabel";
import { UpstreamForm } from "./UpstreamForm";

/** The servers behind the gateway, as one edge sees them at this moment. */
export default function Upstreams() {
  const fleet = useQuery(upstreams);
  const [form, setForm] = useState<"new" | Upstream | null>(null);
  const columns = useMemo(() => columnsFor(setForm), []);
  return (
    <>
      <PageHeader
        title="Upstreams"
        subtitle="The servers that models run on, as the edge that answers sees them just now."
        actions={
          <Button leftSection={<Plus size={16} aria-hidden />} onClick={() => setForm("new")}>
            Add upstream
          </Button>
        }
      />
      {fleet.isError && !fleet.data ? (
        <ErrorState error={fleet.error} retry={() => void fleet.refetch()} />
      ) : (
        <Card p="xs">
          <DataTable
            label="Upstreams"
            columns={columns}
            rows={fleet.data}
            rowKey={(upstream) => upstream.name}
            expectedRows={2}
            minWidth={860}
            empty={
              <EmptyState icon={Network} title="No upstreams yet">
                An upstream is an Ollama, a LiteLLM, or any other server that speaks OpenAI’s API.
              </EmptyState>
            }
          />
        </Card>
      )}
      <UpstreamForm subject={form} onClose={() => setForm(null)} />
    </>
  );
}

function columnsFor(edit: (upstream: Upstream) => void): Columns<Upstream> {
  const of = columnsOf<Upstream>();
  const right = { align: "right" } as const;
  const ofMost = (count: number, most: number | null) => (
    <span className="tabular">
      {formatCount(count)}
      {most !== null && ` of ${formatCount(most)}`}
    </span>
  );
  return [
    of.accessor("name", {
      header: "Upstream",
      cell: ({ row: { original: upstream } }) => (
        <Stack gap={0}>
          <Text size="sm" fw={500} truncate maw={200} title={upstream.name}>
            {upstream.name}
          </Text>
          <Text size="xs" c="dimmed" truncate maw={240} title={upstream.base_url}>
            {upstream.kind}, {upstream.address}
          </Text>
        </Stack>
      ),
    }),
    of.accessor("status", {
      header: "Health",
      cell: ({ row: { original: upstream } }) => (
        <Stack gap={2} align="flex-start">
          <HealthLabel status={upstream.status} />
          {upstream.ejected_for_s !== null && (
            <Text size="xs" c="dimmed" className="tabular">
              for {upstream.ejected_for_s} s
            </Text>
          )}
        </Stack>
      ),
    }),
    of.accessor("latency_ms", {
      header: "First byte",
      meta: right,
      cell: ({ getValue }) => {
        const latency = getValue();
        return <span className="tabular">{latency === null ? "–" : formatDuration(latency)}</span>;
      },
    }),
    of.accessor("in_flight", {
      header: "In flight",
      meta: right,
      cell: ({ row: { original: upstream } }) => ofMost(upstream.in_flight, upstream.max_in_flight),
    }),
    of.accessor("queued", {
      header: "Queue",
      meta: right,
      cell: ({ row: { original: upstream } }) => ofMost(upstream.queued, upstream.max_queued),
    }),
    of.accessor("failures", {
      header: "Failures in a row",
      meta: right,
      cell: ({ row: { original: upstream } }) => (
        <span className="tabular" title={`${upstream.failed_probes} failed probes in a row`}>
          {formatCount(upstream.failures)}
        </span>
      ),
    }),
    of.accessor("ejections", {
      header: "Ejections",
      meta: right,
      cell: ({ getValue }) => <span className="tabular">{formatCount(getValue())}</span>,
    }),
    of.display({
      id: "acts",
      header: () => <VisuallyHidden>Actions</VisuallyHidden>,
      meta: right,
      cell: ({ row: { original: upstream } }) => (
        <Button size="xs" h={36} variant="default" onClick={() => edit(upstream)} aria-label={`Edit ${upstream.name}`}>
          Edit
        </Button>
      ),
    }),
  ];
}
