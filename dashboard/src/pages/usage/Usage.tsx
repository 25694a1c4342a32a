import { Button, Card, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { ChartColumn, Download, SearchX } from "lucide-react";
import type { ReactNode } from "react";
import { usage, usageCsvUrl } from "@/api/usage";
import { DataTable } from "@/components/DataTable";
import { ButtonLink } from "@/components/links";
import { PageHeader } from "@/components/PageHeader";
import { Pager } from "@/components/Pager";
import { EmptyState, ErrorState } from "@/components/states";
import { Charts } from "./Charts";
import { COLUMNS } from "./columns";
import { EventDrawer } from "./EventDrawer";
import { Filters } from "./Filters";
import { useKeyName } from "./key-names";
import { filterOf, isFiltered, type UsageSearch } from "./search";
import classes from "./Usage.module.css";

const LIMIT = 25;

/** What was called, what it used, and what it cost. */
export default function Usage(): ReactNode {
  const search = useSearch({ from: "/inside/usage" });
  const navigate = useNavigate();
  const keyName = useKeyName();
  const filter = filterOf(search);
  const offset = search.offset ?? 0;
  const list = useQuery(usage({ ...filter, limit: LIMIT, offset }));

  const go = (change: UsageSearch) =>
    void navigate({ to: "/usage", search: { ...search, ...change }, resetScroll: false });
  const narrow = (change: UsageSearch) => go({ ...change, offset: undefined });
  const clear = () => void navigate({ to: "/usage", search: { view: search.view, measure: search.measure } });

  return (
    <>
      <PageHeader
        title="Usage"
        subtitle="Every call, with what it used and how its cost came about."
        actions={
          <Button
            component="a"
            href={usageCsvUrl(filter)}
            download="usage.csv"
            variant="default"
            leftSection={<Download size={16} aria-hidden />}
          >
            Download CSV
          </Button>
        }
      />
      <Stack gap="lg">
        <div>
          <Filters search={search} keyName={keyName} onChange={narrow} onClear={clear} />
        </div>
        <Charts search={search} keyName={keyName} onChange={narrow} />
        <Card>
          <Title order={2} fz="lg" mb="sm">
            Calls
          </Title>
          {list.isError && !list.data ? (
            <ErrorState error={list.error} retry={() => void list.refetch()} />
          ) : (
            <div className={list.isPlaceholderData ? classes.stale : undefined} aria-busy={list.isPlaceholderData}>
              <DataTable
                label="Calls"
                columns={COLUMNS}
                rows={list.data?.items}
                rowKey={(call) => call.id}
                onRowClick={(call) => go({ event: call.id })}
                empty={<NoCalls filtered={isFiltered(search)} offset={offset} go={go} />}
                minWidth={900}
              />
              {list.data && (
                <Pager
                  total={list.data.total}
                  limit={LIMIT}
                  offset={offset}
                  onOffset={(to) => go({ offset: to || undefined })}
                />
              )}
            </div>
          )}
        </Card>
      </Stack>
      <EventDrawer id={search.event} keyName={keyName} onClose={() => go({ event: undefined })} />
    </>
  );
}

/** Why the list is empty: nothing was called yet, or nothing that matches. */
function NoCalls({ filtered, offset, go }: { filtered: boolean; offset: number; go: (change: UsageSearch) => void }) {
  const ever = useQuery(usage({ limit: 1 })).data?.total;
  if (ever === 0) {
    return (
      <EmptyState icon={ChartColumn} title="No calls yet">
        <Text size="sm">Each call of the API appears here a moment after it ended, with its tokens and its cost.</Text>
        <ButtonLink to="/playground" variant="light">
          Try the playground
        </ButtonLink>
      </EmptyState>
    );
  }
  const everything = {
    model: undefined,
    key: undefined,
    status: undefined,
    period: "all",
    from: undefined,
    to: undefined,
    offset: undefined,
  } as const;
  return (
    <EmptyState icon={SearchX} title={filtered ? "No calls match these filters" : "No calls in the last 30 days"}>
      <Text size="sm">
        {offset > 0 ? "The list has fewer pages than this one." : "Look at a longer time, or at more models and keys."}
      </Text>
      <Button variant="light" onClick={() => go(offset > 0 ? { offset: undefined } : everything)}>
        {offset > 0 ? "Go to the first page" : "Show all calls"}
      </Button>
    </EmptyState>
  );
}
