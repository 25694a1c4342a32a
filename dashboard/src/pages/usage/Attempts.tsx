import { Code, Table, Text } from "@mantine/core";
import type { EventDetail } from "@/api/usage";
import { formatDuration } from "@/format/time";
import classes from "./Usage.module.css";

/** Where a call was tried, in order. */
export function Attempts({ attempts }: { attempts: EventDetail["attempts"] }) {
  if (attempts.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        One attempt, without a failure.
      </Text>
    );
  }
  return (
    <Table.ScrollContainer minWidth={420} type="native" tabIndex={0} role="region" aria-label="Attempts">
      <Table className={classes.bill!} verticalSpacing={6} aria-label="Attempts">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Upstream</Table.Th>
            <Table.Th>Model there</Table.Th>
            <Table.Th>Answer</Table.Th>
            <Table.Th ta="right">After</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {attempts
            .map((attempt, place) => ({ ...attempt, place }))
            .map((attempt) => (
              <Table.Tr key={attempt.place}>
                <Table.Td>{attempt.upstream_name}</Table.Td>
                <Table.Td>{attempt.upstream_model}</Table.Td>
                <Table.Td>
                  {attempt.http_status === null ? "None" : `HTTP ${attempt.http_status}`}{" "}
                  {attempt.error_code && <Code>{attempt.error_code}</Code>}
                </Table.Td>
                <Table.Td ta="right" className="tabular">
                  {formatDuration(attempt.duration_ms)}
                </Table.Td>
              </Table.Tr>
            ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}
