import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { ReceiptText } from "lucide-react";
import { useMemo } from "react";
import type { Transaction } from "@/api/account";
import { userTransactions } from "@/api/adminUsers";
import { DataTable } from "@/components/DataTable";
import { Pager } from "@/components/Pager";
import { EmptyState, ErrorState } from "@/components/states";
import { KindSelect, lineColumns } from "./LedgerLines";

const PAGE = 20;

/** What changed a user's balance, as the user sees it. */
export function UserLedger({ userId }: { userId: string }) {
  const { kind, offset = 0 } = useSearch({ from: "/inside/admin/users/$userId" });
  const navigate = useNavigate({ from: "/admin/users/$userId" });
  const lines = useQuery(userTransactions(userId, { limit: PAGE, offset, ...(kind && { kind }) }));
  const columns = useMemo(() => lineColumns<Transaction>(), []);
  return (
    <>
      <KindSelect
        kind={kind}
        onKind={(next) => void navigate({ search: { tab: "ledger", ...(next && { kind: next }) }, replace: true })}
      />
      {lines.isError ? (
        <ErrorState error={lines.error} retry={() => void lines.refetch()} />
      ) : (
        <DataTable
          label="Ledger of the user"
          columns={columns}
          rows={lines.data?.items}
          rowKey={(line) => line.id}
          empty={
            <EmptyState icon={ReceiptText} title="No such lines">
              Top-ups, credit of the plan, charges and corrections are listed here.
            </EmptyState>
          }
        />
      )}
      {lines.data && (
        <Pager
          total={lines.data.total}
          limit={PAGE}
          offset={offset}
          onOffset={(next) => void navigate({ search: (present) => ({ ...present, offset: next }) })}
        />
      )}
    </>
  );
}
