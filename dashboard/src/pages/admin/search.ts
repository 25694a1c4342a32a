/** The filters of the administration's pages, as they stand in their addresses. What is no filter is left out. */

import type { Days } from "@/api/adminOverview";
import { type BillingSearch, readBillingSearch } from "../billing/search";

type Search = Record<string, unknown>;

export const DAYS: readonly Days[] = [1, 7, 30, 90];
export const TABS = ["keys", "usage", "ledger"] as const;

export type Tab = (typeof TABS)[number];

export interface OverviewSearch {
  days?: Days;
}

export interface UsersSearch {
  search?: string;
  offset?: number;
}

export interface UserSearch extends BillingSearch {
  tab?: Tab;
}

export interface LedgerSearch extends BillingSearch {
  /** An account's id or its user's e-mail. */
  account?: string;
}

export interface AuditSearch {
  action?: string;
  /** A user's id or e-mail. */
  actor?: string;
  /** The id of anything, or a user's e-mail. */
  subject?: string;
  offset?: number;
}

export function readOverviewSearch(search: Search): OverviewSearch {
  const days = DAYS.find((each) => each === Number(search["days"]));
  return days ? { days } : {};
}

export function readUsersSearch(search: Search): UsersSearch {
  return { ...textOf(search, "search"), ...offsetOf(search) };
}

export function readUserSearch(search: Search): UserSearch {
  const tab = TABS.find((each) => each === search["tab"]);
  return { ...(tab && { tab }), ...readBillingSearch(search) };
}

export function readLedgerSearch(search: Search): LedgerSearch {
  return { ...readBillingSearch(search), ...textOf(search, "account") };
}

export function readAuditSearch(search: Search): AuditSearch {
  return {
    ...textOf(search, "action"),
    ...textOf(search, "actor"),
    ...textOf(search, "subject"),
    ...offsetOf(search),
  };
}

/** A text; the address bar's form of a number is one as well, where somebody has typed digits. */
function textOf<Name extends string>(search: Search, name: Name): { [key in Name]?: string } {
  const value = search[name];
  const text = typeof value === "string" || typeof value === "number" ? String(value).trim() : "";
  return text ? ({ [name]: text } as { [key in Name]?: string }) : {};
}

function offsetOf(search: Search): { offset?: number } {
  const offset = Number(search["offset"]);
  return Number.isSafeInteger(offset) && offset > 0 ? { offset } : {};
}
