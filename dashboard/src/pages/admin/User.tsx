import { Card, SimpleGrid, Stack, Tabs, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { type AdminUser, user as userQuery, userSummary } from "@/api/adminUsers";
import { Money } from "@/components/Money";
import { AnchorLink } from "@/components/links";
import { PageHeader } from "@/components/PageHeader";
import { StatCard } from "@/components/StatCard";
import { ErrorState } from "@/components/states";
import { When } from "@/components/When";
import { plural } from "@/format/numbers";
import { TABS, type Tab } from "./search";
import { UserActs } from "./UserActs";
import { UserKeys } from "./UserKeys";
import { UserLedger } from "./UserLedger";
import { UserUsage } from "./UserUsage";

const NAMES: Record<Tab, string> = { keys: "API keys", usage: "Usage", ledger: "Ledger" };

/** One user: what they have and did, and what can be done about them. */
export default function User() {
  const { userId } = useParams({ from: "/inside/admin/users/$userId" });
  const { tab = "keys" } = useSearch({ from: "/inside/admin/users/$userId" });
  const navigate = useNavigate({ from: "/admin/users/$userId" });
  const found = useQuery(userQuery(userId));
  const user = found.data;

  return (
    <>
      <AnchorLink to="/admin/users" size="sm">
        All users
      </AnchorLink>
      <PageHeader
        title={user?.email ?? "User"}
        subtitle={user && (user.name || "No name given")}
        actions={user && <UserActs user={user} />}
      />
      {found.isError && !user ? (
        <ErrorState error={found.error} retry={() => void found.refetch()} />
      ) : (
        <Stack gap="lg">
          <Figures userId={userId} user={user} />
          <Card component="section">
            <Tabs
              value={tab}
              onChange={(next) => void navigate({ search: { tab: (next as Tab | null) ?? "keys" }, replace: true })}
              keepMounted={false}
            >
              <Tabs.List mb="sm" aria-label="What the user has and did">
                {TABS.map((each) => (
                  <Tabs.Tab key={each} value={each}>
                    {NAMES[each]}
                  </Tabs.Tab>
                ))}
              </Tabs.List>
              <Tabs.Panel value="keys">
                <UserKeys userId={userId} />
              </Tabs.Panel>
              <Tabs.Panel value="usage">
                <UserUsage userId={userId} />
              </Tabs.Panel>
              <Tabs.Panel value="ledger">
                <UserLedger userId={userId} />
              </Tabs.Panel>
            </Tabs>
          </Card>
        </Stack>
      )}
    </>
  );
}

function Figures({ userId, user }: { userId: string; user: AdminUser | undefined }) {
  const [month] = useState(() => new Date().toISOString().slice(0, 8));
  const used = useQuery(userSummary(userId, { group_by: "model", from: `${month}01` })).data?.totals;
  const account = user?.account;
  return (
    <SimpleGrid cols={{ base: 2, md: 4 }} spacing="sm">
      <StatCard
        label="Balance"
        value={user && (account ? <Money usd={account.balance_usd} roughly /> : "–")}
        note={
          account ? (
            <>
              <Money usd={account.reserved_usd} roughly /> set aside for running calls
            </>
          ) : (
            user && "The account is not open yet"
          )
        }
      />
      <StatCard
        label="Plan"
        value={
          user && (
            <Text component="span" inherit tt="capitalize">
              {account?.plan_name ?? "–"}
            </Text>
          )
        }
        note={
          user && (
            <>
              Signed up <When time={user.created_at} />
            </>
          )
        }
      />
      <StatCard
        label="Spent this month"
        value={used && <Money usd={used.cost_usd} roughly />}
        note={used && `${plural(used.requests, "request")}, ${plural(used.errors, "error")}`}
      />
      <StatCard
        label="Status"
        value={user && (user.status === "active" ? "Active" : "Disabled")}
        note={user && (user.role === "admin" ? "Administrator" : "Ordinary user")}
      />
    </SimpleGrid>
  );
}
