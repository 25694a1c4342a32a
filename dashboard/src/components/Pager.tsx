import { Button, Group, Text } from "@mantine/core";
import { ChevronLeft, ChevronRight } from "lucide-react";
import { formatCount } from "@/format/numbers";

interface Props {
  total: number;
  limit: number;
  offset: number;
  onOffset: (offset: number) => void;
}

/** Leads through the pages of a list. */
export function Pager({ total, limit, offset, onOffset }: Props) {
  if (total <= limit && offset === 0) return null;
  const last = Math.min(offset + limit, total);
  return (
    <Group justify="space-between" mt="sm" component="nav" aria-label="Pages of the list">
      <Text size="sm" c="dimmed" className="tabular">
        {formatCount(Math.min(offset + 1, total))}–{formatCount(last)} of {formatCount(total)}
      </Text>
      <Group gap="xs">
        <Button
          size="sm"
          variant="default"
          leftSection={<ChevronLeft size={14} />}
          disabled={offset === 0}
          onClick={() => onOffset(Math.max(0, offset - limit))}
        >
          Newer
        </Button>
        <Button
          size="sm"
          variant="default"
          rightSection={<ChevronRight size={14} />}
          disabled={last >= total}
          onClick={() => onOffset(offset + limit)}
        >
          Older
        </Button>
      </Group>
    </Group>
  );
}
