import { Button, Card, Group, Select, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { ScrollText } from "lucide-react";
import { useMemo, useState } from "react";
import { type AuditEvent, auditLog } from "@/api/adminAudit";
import { type Columns, columnsOf, DataTable } from "@/components/DataTable";
import { AnchorLink } from "@/components/links";
import { PageHeader } from "@/components/PageHeader";
import { Pager } from "@/components/Pager";
import { EmptyState, ErrorState } from "@/components/states";
import { When } from "@/components/When";
import { plural } from "@/format/numbers";
import { ACTIONS, SUBJECTS } from "./actions";
import { AuditDetails } from "./AuditDetails";
import type { AuditSearch } from "./search";
import { SearchBox } from "./SearchBox";
import { useUserId } from "./userId";

const PAGE = 25;

/** Who did what. */
export default function Audit() {
  const search = useSearch({ from: "/inside/admin/audit" });
  const { action, actor = "", subject = "", offset = 0 } = search;
  const navigate = useNavigate({ from: "/admin/audit" });
  const [shown, setShown] = useState<AuditEvent | null>(null);
  const who = useUserId(actor);
  const whom = useUserId(subject);
  const error = who.error ?? whom.error;
  const events = useQuery({
    ...auditLog({
      limit: PAGE,
      offset,
      ...(action && { action }),
      ...(who.id && { actor_id: who.id }),
      ...(whom.id && { subject_id: whom.id }),
    }),
    enabled: who.isKnown && whom.isKnown,
  });
  const columns = useMemo(() => columnsFor(setShown), []);
  // Another filter begins at the newest event again.
  const filter = (change: AuditSearch) => {
    const { offset: _, ...filters } = { ...search, ...change };
    const set = Object.entries(filters).filter(([, value]) => value);
    void navigate({ search: Object.fromEntries(set), replace: true });
  };
  const empty = (
    <EmptyState icon={ScrollText} title="Nothing like that">
      {error ?? "What operators and users change is noted here, by whom and why. Nobody can change or delete it."}
    </EmptyState>
  );

  return (
    <>
      <PageHeader title="Audit log" subtitle="What was changed, by whom and why. Nobody can change or delete it." />
      <Group gap="sm" mb="md">
        <Select
          aria-label="Action"
          placeholder="All actions"
          data={Object.entries(ACTIONS).map(([value, label]) => ({ value, label }))}
          value={action ?? null}
          onChange={(value) => filter({ action: value ?? "" })}
          searchable
          clearable
          w={{ base: "100%", xs: 220 }}
        />
        <SearchBox
          label="Who did it"
          placeholder="Who: e-mail or id"
          value={actor}
          onSearch={(text) => filter({ actor: text })}
          w={{ base: "100%", xs: 240 }}
        />
        <SearchBox
          label="What it was done to"
          placeholder="To: e-mail, name or id"
          value={subject}
          onSearch={(text) => filter({ subject: text })}
          w={{ base: "100%", xs: 240 }}
        />
      </Group>
      {events.isError ? (
        <ErrorState error={events.error} retry={() => void events.refetch()} />
      ) : (
        <Card p="xs">
          {error ? (
            empty
          ) : (
            <DataTable
              label="Audit log"
              columns={columns}
              rows={events.data?.items}
              rowKey={(event) => event.id}
              minWidth={880}
              empty={empty}
            />
          )}
          {events.data && !error && (
            <Pager
              total={events.data.total}
              limit={PAGE}
              offset={offset}
              onOffset={(next) => void navigate({ search: (present) => ({ ...present, offset: next }) })}
            />
          )}
        </Card>
      )}
      <AuditDetails event={shown} onClose={() => setShown(null)} />
    </>
  );
}

function columnsFor(show: (event: AuditEvent) => void): Columns<AuditEvent> {
  const of = columnsOf<AuditEvent>();
  return [
    of.accessor("created_at", { header: "Time", cell: ({ getValue }) => <When time={getValue()} /> }),
    of.display({
      id: "actor",
      header: "Who",
      cell: ({ row: { original: event } }) =>
        event.actor ? (
          <User id={event.actor.id} name={event.actor.email || event.actor.id} />
        ) : (
          <Text size="sm" c="dimmed">
            Command line
          </Text>
        ),
    }),
    of.accessor("action", {
      header: "What",
      cell: ({ getValue }) => (
        <Text size="sm" title={getValue()}>
          {ACTIONS[getValue()] ?? getValue()}
        </Text>
      ),
    }),
    of.display({
      id: "subject",
      header: "To",
      cell: ({ row: { original: event } }) => (
        <Stack gap={0}>
          {event.subject_kind === "user" || event.subject_kind === "account" ? (
            <User id={event.subject_id} name={event.subject_name} />
          ) : (
            <Text size="sm" truncate maw={200} title={event.subject_name}>
              {event.subject_name}
            </Text>
          )}
          <Text size="xs" c="dimmed">
            {SUBJECTS[event.subject_kind] ?? event.subject_kind}
          </Text>
        </Stack>
      ),
    }),
    of.accessor("reason", {
      header: "Why",
      cell: ({ getValue }) => (
        <Text size="sm" truncate maw={200} title={getValue()}>
          {getValue() || "–"}
        </Text>
      ),
    }),
    of.display({
      id: "details",
      header: "Changed",
      cell: ({ row: { original: event } }) => {
        const fields = Object.keys(event.details);
        if (fields.length === 0) return "–";
        return (
          <Button variant="subtle" size="xs" h={36} onClick={() => show(event)} title={fields.join(", ")}>
            {plural(fields.length, "field")}
          </Button>
        );
      },
    }),
  ];
}

function User({ id, name }: { id: string; name: string }) {
  return (
    <AnchorLink
      to="/admin/users/$userId"
      params={{ userId: id }}
      size="sm"
      truncate
      maw={200}
      display="block"
      title={name}
    >
      {name}
    </AnchorLink>
  );
}
