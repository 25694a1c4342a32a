import { Card, Group, Skeleton, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { upstreams } from "@/api/adminUpstreams";
import { messageOf } from "@/api/errors";
import { AnchorLink } from "@/components/links";
import { HealthLabel } from "./HealthLabel";

/** How the upstreams do, in a line. */
export function UpstreamsLine() {
  const fleet = useQuery(upstreams);
  return (
    <Card component="section" py="sm">
      <Group gap="lg" mih={28}>
        <AnchorLink to="/admin/upstreams" size="sm" fw={500}>
          Upstreams
        </AnchorLink>
        {fleet.isPending && <Skeleton height={18} width={220} />}
        {fleet.isError && (
          <Text size="sm" c="red">
            {messageOf(fleet.error)}
          </Text>
        )}
        {fleet.data?.length === 0 && (
          <Text size="sm" c="dimmed">
            None is configured.
          </Text>
        )}
        {fleet.data?.map((upstream) => (
          <Group key={upstream.name} gap={6} wrap="nowrap">
            <Text size="sm" truncate maw={180} title={upstream.name}>
              {upstream.name}
            </Text>
            <HealthLabel status={upstream.status} />
          </Group>
        ))}
      </Group>
    </Card>
  );
}
