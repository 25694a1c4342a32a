import { Group, Text } from "@mantine/core";

/** The sign and the name; on a phone the sign alone, where `isShort`. */
export function Logo({ isShort = false }: { isShort?: boolean }) {
  return (
    <Group gap={9} wrap="nowrap">
      <img src="/favicon.svg" width={26} height={26} alt="" />
      <Text fw={650} fz="md" component="span" {...(isShort && { visibleFrom: "xs" })}>
        PrivateRouter
      </Text>
    </Group>
  );
}
