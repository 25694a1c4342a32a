import { Modal, Stack, Text, Title, VisuallyHidden } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Tags } from "lucide-react";
import { useMemo, useState } from "react";
import { type ConfiguredModel, type ListedPrice, prices } from "@/api/adminCatalogue";
import { type Columns, columnsOf, DataTable } from "@/components/DataTable";
import { Pager } from "@/components/Pager";
import { EmptyState, ErrorState } from "@/components/states";
import { When } from "@/components/When";
import { formatUsd } from "@/format/money";
import { Label } from "./Labels";
import { PriceForm } from "./PriceForm";

const PAGE = 10;

/** What a model costs, what it cost before, and a form for a new price. */
export function PricesOf({ model, onClose }: { model: ConfiguredModel | null; onClose: () => void }) {
  return (
    <Modal opened={model !== null} onClose={onClose} size="xl" title={model && `Prices of ${model.public_name}`}>
      {model && (
        <Stack gap="lg">
          <section>
            <Title order={2} size="h5" mb={4}>
              New price
            </Title>
            <Text size="sm" c="dimmed" mb="sm">
              For a million tokens. Calls that run keep the price that they began with; nothing is charged anew.
            </Text>
            <PriceForm model={model} onDone={onClose} />
          </section>
          <section>
            <Title order={2} size="h5" mb={4}>
              Versions
            </Title>
            <Versions name={model.public_name} />
          </section>
        </Stack>
      )}
    </Modal>
  );
}

function Versions({ name }: { name: string }) {
  const [offset, setOffset] = useState(0);
  const versions = useQuery(prices(name, { limit: PAGE, offset }));
  const columns = useMemo(() => columnsFor(), []);
  if (versions.isError) return <ErrorState error={versions.error} retry={() => void versions.refetch()} />;
  return (
    <>
      <DataTable
        label="Versions of the price"
        columns={columns}
        rows={versions.data?.items}
        rowKey={(version) => version.version_id}
        expectedRows={2}
        minWidth={560}
        empty={<EmptyState icon={Tags} title="No versions" />}
      />
      {versions.data && <Pager total={versions.data.total} limit={PAGE} offset={offset} onOffset={setOffset} />}
    </>
  );
}

function columnsFor(): Columns<ListedPrice> {
  const of = columnsOf<ListedPrice>();
  const price = (usd: string | null) => <span className="tabular">{usd === null ? "As input" : formatUsd(usd)}</span>;
  const right = { align: "right" } as const;
  return [
    of.accessor("effective_at", { header: "From", cell: ({ getValue }) => <When time={getValue()} /> }),
    of.accessor("input_usd_per_mtok", { header: "Input", meta: right, cell: ({ getValue }) => price(getValue()) }),
    of.accessor("cached_input_usd_per_mtok", {
      header: "Cached",
      meta: right,
      cell: ({ getValue }) => price(getValue()),
    }),
    of.accessor("cache_write_input_usd_per_mtok", {
      header: "Cache write",
      meta: right,
      cell: ({ getValue }) => price(getValue()),
    }),
    of.accessor("output_usd_per_mtok", { header: "Output", meta: right, cell: ({ getValue }) => price(getValue()) }),
    of.accessor("is_current", {
      header: () => <VisuallyHidden>Now</VisuallyHidden>,
      meta: right,
      cell: ({ getValue }) => getValue() && <Label color="jade">Current</Label>,
    }),
  ];
}
