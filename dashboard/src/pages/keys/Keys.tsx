import { ActionIcon, Badge, Button, Card, Menu, Progress, Stack, Text, Tooltip, VisuallyHidden } from "@mantine/core";
import { modals } from "@mantine/modals";
import { notifications } from "@mantine/notifications";
import { useQuery } from "@tanstack/react-query";
import { Ellipsis, KeyRound, Pause, Pencil, Play, Plus, Trash2 } from "lucide-react";
import { useMemo, useState } from "react";
import type { Schemas } from "@/api/client";
import { type Key, keys, useChangeKey, useDeleteKey } from "@/api/keys";
import { type Columns, columnsOf, DataTable } from "@/components/DataTable";
import { tellFailure } from "@/components/failure";
import { Money } from "@/components/Money";
import { PageHeader } from "@/components/PageHeader";
import { EmptyState, ErrorState } from "@/components/states";
import { When } from "@/components/When";
import { isPast } from "@/format/time";
import { formatUsd, parseUsd, percentOf } from "@/format/money";
import { KeyForm } from "./KeyForm";
import { NewKeySecret } from "./NewKeySecret";

/** The account's keys: what each may do, what it did, and its end. */
export default function Keys() {
  const owned = useQuery(keys);
  const [form, setForm] = useState<"new" | Key | null>(null);
  const [created, setCreated] = useState<Schemas["CreatedKey"] | null>(null);
  const columns = useMemo(() => columnsFor(setForm), []);
  const create = (
    <Button leftSection={<Plus size={16} aria-hidden />} onClick={() => setForm("new")}>
      Create new key
    </Button>
  );

  return (
    <>
      <PageHeader
        title="API keys"
        subtitle="Programs use a key in the place of your password. Make one for each, so that one can be stopped alone."
        actions={create}
      />
      {owned.isLoadingError ? (
        <ErrorState error={owned.error} retry={() => void owned.refetch()} />
      ) : (
        <Card p="xs">
          <DataTable
            label="API keys"
            columns={columns}
            rows={owned.data}
            rowKey={(key) => key.id}
            expectedRows={3}
            minWidth={820}
            empty={
              <EmptyState icon={KeyRound} title="No keys yet">
                <span>A key lets a program call the models and bills what it uses to your account.</span>
                <Button variant="light" onClick={() => setForm("new")}>
                  Create your first key
                </Button>
              </EmptyState>
            }
          />
        </Card>
      )}
      <KeyForm
        subject={form}
        onClose={() => setForm(null)}
        onCreated={(answer) => {
          setForm(null);
          setCreated(answer);
        }}
      />
      <NewKeySecret created={created} onClose={() => setCreated(null)} />
    </>
  );
}

function columnsFor(edit: (key: Key) => void): Columns<Key> {
  const of = columnsOf<Key>();
  return [
    of.accessor("name", {
      header: "Name",
      cell: ({ row: { original: key } }) => (
        <Stack gap={0}>
          <Text size="sm" fw={500} truncate maw={220} title={key.name}>
            {key.name}
          </Text>
          <Text size="xs" c="dimmed" ff="monospace">
            {key.key_prefix}…
          </Text>
        </Stack>
      ),
    }),
    of.accessor("status", { header: "Status", cell: ({ row }) => <Status apiKey={row.original} /> }),
    of.display({ id: "spent", header: "This month", cell: ({ row }) => <Spent apiKey={row.original} /> }),
    of.display({
      id: "models",
      header: "Models",
      cell: ({ row: { original: key } }) => (
        <Tooltip label={key.allowed_models.join(", ")} disabled={key.allowed_models.length === 0}>
          <Text size="sm" tabIndex={key.allowed_models.length ? 0 : undefined}>
            {key.allowed_models.length ? `${key.allowed_models.length} chosen` : "All of the plan"}
          </Text>
        </Tooltip>
      ),
    }),
    of.accessor("last_used_at", {
      header: "Last used",
      cell: ({ getValue }) => {
        const time = getValue();
        return time ? (
          <When time={time} age />
        ) : (
          <Text size="sm" c="dimmed">
            Never
          </Text>
        );
      },
    }),
    of.accessor("created_at", { header: "Created", cell: ({ getValue }) => <When time={getValue()} /> }),
    of.display({
      id: "actions",
      header: () => <VisuallyHidden>Actions</VisuallyHidden>,
      meta: { align: "right", width: 48 },
      cell: ({ row }) => <Actions apiKey={row.original} edit={edit} />,
    }),
  ];
}

function Status({ apiKey }: { apiKey: Key }) {
  if (apiKey.status === "disabled")
    return (
      <Badge variant="light" color="gray">
        Disabled
      </Badge>
    );
  if (isPast(apiKey.expires_at))
    return (
      <Badge variant="light" color="orange">
        Expired
      </Badge>
    );
  return <Badge variant="light">Active</Badge>;
}

/** What the key has spent in this UTC month, beside what it may. */
function Spent({ apiKey }: { apiKey: Key }) {
  const spent = apiKey.spent_this_month_usd;
  if (spent === null)
    return (
      <Text size="sm" c="dimmed">
        Not known just now
      </Text>
    );
  const limit = apiKey.monthly_limit_usd;
  if (limit === null) return <Money usd={spent} roughly fz="sm" />;
  const percent = percentOf(parseUsd(spent), parseUsd(limit));
  return (
    <Stack gap={4} maw={150}>
      <Text size="sm" className="tabular">
        <Money usd={spent} roughly /> of {formatUsd(limit)}
      </Text>
      <Progress
        value={percent}
        size="xs"
        color={percent >= 100 ? "red" : percent >= 80 ? "orange" : "jade"}
        aria-label={`${Math.round(percent)} percent of the monthly limit`}
      />
    </Stack>
  );
}

function Actions({ apiKey, edit }: { apiKey: Key; edit: (key: Key) => void }) {
  const change = useChangeKey();
  const remove = useDeleteKey();
  const isActive = apiKey.status === "active";

  const confirmDeletion = () =>
    modals.openConfirmModal({
      title: `Delete the key “${apiKey.name}”?`,
      children: (
        <Text size="sm">
          Programs that use it ({apiKey.key_prefix}…) are refused from now on, and it cannot be brought back. What it
          has used stays in your usage. To stop it for a while, disable it instead.
        </Text>
      ),
      labels: { confirm: "Delete key", cancel: "Keep it" },
      confirmProps: { color: "red" },
      onConfirm: () =>
        remove.mutate(apiKey.id, {
          onSuccess: () => notifications.show({ message: `The key “${apiKey.name}” is deleted.` }),
          onError: tellFailure,
        }),
    });

  return (
    <Menu position="bottom-end" width={170}>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" size={36} aria-label={`Actions for ${apiKey.name}`}>
          <Ellipsis size={17} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item leftSection={<Pencil size={15} />} onClick={() => edit(apiKey)}>
          Edit
        </Menu.Item>
        <Menu.Item
          leftSection={isActive ? <Pause size={15} /> : <Play size={15} />}
          onClick={() =>
            change.mutate({ id: apiKey.id, status: isActive ? "disabled" : "active" }, { onError: tellFailure })
          }
        >
          {isActive ? "Disable" : "Enable"}
        </Menu.Item>
        <Menu.Item color="red" leftSection={<Trash2 size={15} />} onClick={confirmDeletion}>
          Delete
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
