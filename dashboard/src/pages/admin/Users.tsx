import { Card, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Users as UsersIcon } from "lucide-react";
import { useMemo } from "react";
import { type AdminUser, users } from "@/api/adminUsers";
import { type Columns, columnsOf, DataTable } from "@/components/DataTable";
import { Money } from "@/components/Money";
import { AnchorLink } from "@/components/links";
import { PageHeader } from "@/components/PageHeader";
import { Pager } from "@/components/Pager";
import { EmptyState, ErrorState } from "@/components/states";
import { When } from "@/components/When";
import { plural } from "@/format/numbers";
import { RoleLabel, StatusLabel } from "./Labels";
import { SearchBox } from "./SearchBox";

const PAGE = 25;

/** Everybody who has signed up. */
export default function Users() {
  const { search = "", offset = 0 } = useSearch({ from: "/inside/admin/users" });
  const navigate = useNavigate({ from: "/admin/users" });
  const found = useQuery(users({ limit: PAGE, offset, search }));
  const columns = useMemo(() => columnsFor(), []);

  return (
    <>
      <PageHeader title="Users" subtitle="Everybody who has signed up, the newest first." />
      <Stack gap="md">
        <SearchBox
          label="Search users"
          placeholder="E-mail or name"
          value={search}
          onSearch={(text) => void navigate({ search: text ? { search: text } : {}, replace: true })}
          w={{ base: "100%", xs: 320 }}
        />
        <Text size="sm" c="dimmed" role="status" mih={20} className="tabular">
          {found.data && plural(found.data.total, "user")}
        </Text>
      </Stack>
      {found.isError ? (
        <ErrorState error={found.error} retry={() => void found.refetch()} />
      ) : (
        <Card p="xs" mt="xs">
          <DataTable
            label="Users"
            columns={columns}
            rows={found.data?.items}
            rowKey={(user) => user.id}
            minWidth={780}
            empty={
              <EmptyState icon={UsersIcon} title="No such user">
                {search ? "No e-mail or name contains this." : "Whoever signs up is listed here."}
              </EmptyState>
            }
          />
          {found.data && (
            <Pager
              total={found.data.total}
              limit={PAGE}
              offset={offset}
              onOffset={(next) => void navigate({ search: (present) => ({ ...present, offset: next }) })}
            />
          )}
        </Card>
      )}
    </>
  );
}

function columnsFor(): Columns<AdminUser> {
  const of = columnsOf<AdminUser>();
  return [
    of.accessor("email", {
      header: "User",
      cell: ({ row: { original: user } }) => (
        <Stack gap={0}>
          <AnchorLink
            to="/admin/users/$userId"
            params={{ userId: user.id }}
            size="sm"
            fw={500}
            truncate
            maw={280}
            title={user.email}
          >
            {user.email}
          </AnchorLink>
          <Text size="xs" c="dimmed" truncate maw={280} title={user.name}>
            {user.name}
          </Text>
        </Stack>
      ),
    }),
    of.accessor("role", { header: "Role", cell: ({ getValue }) => <RoleLabel role={getValue()} /> }),
    of.accessor("status", { header: "Status", cell: ({ getValue }) => <StatusLabel status={getValue()} /> }),
    of.display({
      id: "plan",
      header: "Plan",
      cell: ({ row }) => (
        <Text size="sm" tt="capitalize">
          {row.original.account?.plan_name ?? "–"}
        </Text>
      ),
    }),
    of.display({
      id: "balance",
      header: "Balance",
      meta: { align: "right" },
      cell: ({ row: { original: user } }) => (user.account ? <Money usd={user.account.balance_usd} roughly /> : "–"),
    }),
    of.accessor("created_at", {
      header: "Signed up",
      meta: { align: "right" },
      cell: ({ getValue }) => <When time={getValue()} />,
    }),
  ];
}
