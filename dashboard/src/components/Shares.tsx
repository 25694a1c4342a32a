import { Skeleton, Table, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { formatNanos, formatRoundly, percentOf } from "@/format/money";
import { formatCompact, formatCount } from "@/format/numbers";
import type { Share } from "./charts/byDay";
import classes from "./Shares.module.css";

interface Props {
  label: string;
  /** What the parts are: "Model" or "API key". */
  heading: string;
  /** Undefined while they are loaded. */
  shares: readonly Share[] | undefined;
  renderName: (name: string) => ReactNode;
}

/** What each part cost, with a bar for its share of all. */
export function Shares({ label, heading, shares, renderName }: Props) {
  if (shares === undefined) return <Skeleton height={160} radius="md" />;
  const whole = shares.reduce((sum, { nanos }) => sum + nanos, 0n);
  return (
    <Table.ScrollContainer minWidth={260} type="native" tabIndex={0} role="region" aria-label={label}>
      <Table aria-label={label} verticalSpacing={6} horizontalSpacing={6} className={classes.table!}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{heading}</Table.Th>
            <Table.Th ta="right">Requests</Table.Th>
            <Table.Th ta="right" visibleFrom="xs">
              Tokens
            </Table.Th>
            <Table.Th ta="right">Cost</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {shares.map((share) => (
            <Table.Tr key={share.name}>
              <Table.Td className={classes.name!}>
                <Text size="sm" component="div" truncate>
                  {renderName(share.name)}
                </Text>
                <div className={classes.bar} aria-hidden>
                  <div style={{ width: `${percentOf(share.nanos, whole)}%` }} />
                </div>
              </Table.Td>
              <Table.Td ta="right" className="tabular">
                {formatCount(share.requests)}
              </Table.Td>
              <Table.Td ta="right" className="tabular" visibleFrom="xs" title={formatCount(share.tokens)}>
                {formatCompact(share.tokens)}
              </Table.Td>
              <Table.Td ta="right" className="tabular" title={formatNanos(share.nanos)}>
                {formatRoundly(share.nanos)}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}
