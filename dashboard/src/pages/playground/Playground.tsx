import { Skeleton, Stack } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { balance, plans } from "@/api/account";
import { models } from "@/api/catalogue";
import { keys } from "@/api/keys";
import { PageHeader } from "@/components/PageHeader";
import { ErrorState } from "@/components/states";
import { NoKey } from "./NoKey";
import { usableKeys } from "./usable";
import { Workbench } from "./Workbench";

/** Tries the models out, with the user's own keys. */
export default function Playground() {
  const queries = [useQuery(keys), useQuery(models), useQuery(plans), useQuery(balance)] as const;
  const [keyList, modelList, planList, account] = queries;
  if (keyList.data && modelList.data && planList.data && account.data) {
    const usable = usableKeys(keyList.data, keyList.dataUpdatedAt);
    const plan = planList.data.find(({ id }) => id === account.data.plan_name);
    if (usable.length > 0) return <Workbench keys={usable} models={modelList.data} plan={plan} />;
    return (
      <>
        <PageHeader title="Playground" />
        <NoKey />
      </>
    );
  }

  const failed = queries.find((query) => query.isError && !query.data);
  return (
    <>
      <PageHeader title="Playground" />
      {failed ? (
        <ErrorState
          error={failed.error}
          retry={() => queries.forEach((query) => query.isError && void query.refetch())}
        />
      ) : (
        <Stack role="status" aria-busy aria-label="Loading">
          <Skeleton height="calc(100dvh - 14rem)" mih={300} />
        </Stack>
      )}
    </>
  );
}
