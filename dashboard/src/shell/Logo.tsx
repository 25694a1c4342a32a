import { Group, Text } from "@mantine/core";

export function Logo() {
  return (
    <Group gap={9} wrap="nowrap">
      <img src="/favicon.svg" width={26} height={26} alt="" />
      <Text fw={650} fz="md" component="span">
        PrivateRouter
      </Text>
    </Group>
  );
}
