import { Text, type TextProps } from "@mantine/core";
import { formatRoundly, formatUsd, parseUsd } from "@/format/money";

/** An amount of the API; `roughly` rounds it for a headline and keeps the exact one as its title. */
export function Money({ usd, roughly = false, ...props }: { usd: string; roughly?: boolean } & TextProps) {
  const exact = formatUsd(usd);
  const shown = roughly ? formatRoundly(parseUsd(usd)) : exact;
  return (
    <Text component="span" inherit className="tabular" title={shown === exact ? undefined : exact} {...props}>
      {shown}
    </Text>
  );
}
