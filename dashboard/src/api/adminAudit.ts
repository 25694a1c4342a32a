/** Who did what, as every service has noted it. */

import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { api, result, type Schemas } from "./client";
import type { paths } from "./schema";

export type AuditEvent = Schemas["AuditEvent"];
export type AuditQuery = NonNullable<paths["/api/admin/audit-log"]["get"]["parameters"]["query"]>;

export const auditLog = (query: AuditQuery) =>
  queryOptions({
    queryKey: ["admin", "audit", query],
    queryFn: () => result(api.GET("/api/admin/audit-log", { params: { query } })),
    placeholderData: keepPreviousData,
  });
