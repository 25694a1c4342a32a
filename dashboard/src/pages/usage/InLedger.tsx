import { Code, Stack, Table, Text } from "@mantine/core";
import type { EventDetail } from "@/api/usage";
import { When } from "@/components/When";
import { formatUsd, parseUsd } from "@/format/money";
import classes from "./Usage.module.css";

type Ledger = EventDetail["ledger"];
type Transaction = NonNullable<Ledger["transactions"]>[number];

const STATES: Record<Ledger["state"], string> = {
  booked: "All of it is booked.",
  pending: "Not all of it is booked yet. This takes a few seconds; the page follows by itself.",
  not_charged: "It cost nothing, so there is nothing to book.",
  unavailable: "The ledger can't be asked at this moment. We keep trying.",
};

/** What was booked for a call: its charge, and corrections of it. */
export function InLedger({ ledger }: { ledger: Ledger }) {
  return (
    <Stack gap="sm">
      <Text size="sm" role="status">
        {STATES[ledger.state]}
        {ledger.paid_usd !== null &&
          parseUsd(ledger.paid_usd) !== 0n &&
          ` You have paid ${formatUsd(ledger.paid_usd)}.`}
      </Text>
      {ledger.transactions !== null && ledger.transactions.length > 0 && (
        <Table.ScrollContainer minWidth={420} type="native" tabIndex={0} role="region" aria-label="Ledger transactions">
          <Table className={classes.bill!} verticalSpacing={6} aria-label="Ledger transactions">
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Time</Table.Th>
                <Table.Th>What</Table.Th>
                <Table.Th>Transaction</Table.Th>
                <Table.Th ta="right">Amount</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {ledger.transactions.map((transaction) => (
                <Table.Tr key={transaction.id}>
                  <Table.Td>
                    <When time={transaction.created_at} />
                  </Table.Td>
                  <Table.Td>{nameOf(transaction)}</Table.Td>
                  <Table.Td>
                    <Code title={transaction.id}>…{transaction.id.slice(-12)}</Code>
                  </Table.Td>
                  <Table.Td ta="right" className="tabular">
                    {formatUsd(transaction.amount_usd)}
                    {parseUsd(transaction.absorbed_usd) > 0n && (
                      <Text size="xs" c="dimmed">
                        we bore {formatUsd(transaction.absorbed_usd)}
                      </Text>
                    )}
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
    </Stack>
  );
}

function nameOf({ kind, revision, description }: Transaction): string {
  if (kind !== "charge") return description || "Correction";
  return revision === null || revision === 1 ? "Charge" : "Later difference";
}
