import { Modal, Stack, Table, Text } from "@mantine/core";
import type { AuditEvent } from "@/api/adminAudit";
import { When } from "@/components/When";
import { ACTIONS, valueOf, wordsOf } from "./actions";

/** What an act changed, field by field. */
export function AuditDetails({ event, onClose }: { event: AuditEvent | null; onClose: () => void }) {
  return (
    <Modal opened={event !== null} onClose={onClose} size="lg" title={event && (ACTIONS[event.action] ?? event.action)}>
      {event && (
        <Stack gap="sm">
          <Text size="sm">
            {event.subject_name}, by {event.actor?.email ?? "an operator at the command line"},{" "}
            <When time={event.created_at} />
          </Text>
          {event.reason && <Text size="sm">Reason: {event.reason}</Text>}
          <Table.ScrollContainer minWidth={420} type="native" tabIndex={0} role="region" aria-label="What changed">
            <Table verticalSpacing="xs" aria-label="What changed">
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>Field</Table.Th>
                  <Table.Th>Before</Table.Th>
                  <Table.Th>After</Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {Object.entries(event.details).map(([field, change]) => (
                  <Table.Tr key={field}>
                    <Table.Th scope="row" fw={500} style={{ verticalAlign: "top" }}>
                      {wordsOf(field)}
                    </Table.Th>
                    <Value field={field} text={change.old} />
                    <Value field={field} text={change.new} />
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          </Table.ScrollContainer>
        </Stack>
      )}
    </Modal>
  );
}

function Value({ field, text }: { field: string; text: string | null }) {
  return (
    <Table.Td style={{ overflowWrap: "anywhere", verticalAlign: "top" }} {...(text ? {} : { c: "dimmed" })}>
      {valueOf(field, text)}
    </Table.Td>
  );
}
