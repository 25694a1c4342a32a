import { Code, Stack, Table, Text } from "@mantine/core";
import type { ReactNode } from "react";
import type { EventDetail } from "@/api/usage";
import { formatNanos, formatUsd, parseUsd } from "@/format/money";
import { formatCount } from "@/format/numbers";
import classes from "./Usage.module.css";

const ITEMS = {
  input: "Input",
  cached_input: "Input from the cache",
  cache_write_input: "Input written into the cache",
  output: "Output",
} as const;

/** Tokens times price for each class, their sum, its rounding, and what of it was charged. */
export function Bill({ detail }: { detail: EventDetail }) {
  const { price_lines: lines, rounding, event } = detail;
  return (
    <Stack gap="sm">
      <Table.ScrollContainer minWidth={300} type="native" tabIndex={0} role="region" aria-label="Cost">
        <Table className={classes.bill!} verticalSpacing={6} horizontalSpacing={6} aria-label="Cost">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Tokens</Table.Th>
              <Table.Th ta="right">Count</Table.Th>
              <Table.Th ta="right">Per million</Table.Th>
              <Table.Th ta="right">Amount</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody className="tabular">
            {lines.map((line) => (
              <Table.Tr key={line.item}>
                <Table.Th scope="row" fw={400}>
                  {ITEMS[line.item]}
                </Table.Th>
                <Table.Td ta="right">{formatCount(line.tokens)}</Table.Td>
                <Table.Td ta="right">× {formatUsd(line.usd_per_mtok)}</Table.Td>
                <Table.Td ta="right">= {unrounded(line.exact_usd)}</Table.Td>
              </Table.Tr>
            ))}
            <Line name="Sum" amount={unrounded(rounding.exact_usd)} />
            <Line
              name={`Rounded ${rounding.direction} to ${formatUsd(rounding.step_usd)}`}
              amount={formatUsd(rounding.rounded_usd)}
            />
            {parseUsd(detail.uncharged_usd) > 0n && (
              <Line
                name={event.status === "error" ? "Not charged, since the call failed" : "Not charged"}
                amount={formatNanos(-parseUsd(detail.uncharged_usd))}
              />
            )}
            <Line name="Charged" amount={formatUsd(event.cost_usd)} total />
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      <dl className={classes.facts}>
        <dt>Set aside</dt>
        <dd className="tabular">{formatUsd(detail.held_usd)} while it ran; a call is never charged more</dd>
        <dt>Price version</dt>
        <dd>
          <Code>{detail.price_version_id}</Code>
        </dd>
        <dt>Credit lease</dt>
        <dd>
          {detail.lease_id ? (
            <Code>{detail.lease_id}</Code>
          ) : (
            <Text span inherit>
              None was needed
            </Text>
          )}
        </dd>
      </dl>
    </Stack>
  );
}

function Line({ name, amount, total = false }: { name: ReactNode; amount: string; total?: boolean }) {
  return (
    <Table.Tr className={total ? classes.total! : undefined}>
      <Table.Th scope="row" colSpan={3} fw={total ? 600 : 400}>
        {name}
      </Table.Th>
      <Table.Td ta="right">{amount}</Table.Td>
    </Table.Tr>
  );
}

/** Before rounding an amount has more digits than a nano-dollar, so it stays as the API wrote it. */
function unrounded(usd: string): string {
  return `$${usd}`;
}
