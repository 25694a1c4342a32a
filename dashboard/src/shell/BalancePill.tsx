import { ButtonLink } from "@/components/links";
import { Skeleton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Wallet } from "lucide-react";
import { balance } from "@/api/account";
import { formatRoundly, formatUsd, parseUsd } from "@/format/money";

/** The balance, always in sight; it leads to the page where it is topped up. */
export function BalancePill() {
  const { data } = useQuery(balance);
  if (!data) return <Skeleton height={36} width={100} radius="xl" />;
  return (
    <ButtonLink
      to="/billing"
      size="sm"
      radius="xl"
      variant="default"
      leftSection={<Wallet size={14} aria-hidden />}
      title={`Balance: ${formatUsd(data.balance_usd)}`}
      className="tabular"
    >
      {formatRoundly(parseUsd(data.balance_usd))}
    </ButtonLink>
  );
}
