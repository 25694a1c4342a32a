import { Alert } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { CloudOff } from "lucide-react";
import { useEffect, useSyncExternalStore } from "react";
import { reach } from "@/api/client";
import { connected } from "@/api/connection";
import classes from "./ConnectionBanner.module.css";

/** Says that the server does not answer, and asks it until it does. */
export function ConnectionBanner() {
  const isUp = useSyncExternalStore(connected.subscribe, connected.get);
  const client = useQueryClient();
  useQuery({
    queryKey: ["health"],
    queryFn: async () => (await reach("/health", { cache: "no-store" })).ok,
    enabled: !isUp,
    refetchInterval: 2_000,
    retry: false,
  });
  useEffect(() => {
    if (isUp) void client.invalidateQueries({ predicate: (query) => query.state.status === "error" });
  }, [client, isUp]);

  return (
    <div role="status" className={classes.banner}>
      {!isUp && (
        <Alert color="orange" icon={<CloudOff size={18} />} radius={0} title="PrivateRouter does not answer">
          Nothing is lost. We keep trying, and this message goes away as soon as it is back.
        </Alert>
      )}
    </div>
  );
}
