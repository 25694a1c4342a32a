import { expect, test } from "vitest";
import { readAuditSearch, readLedgerSearch, readOverviewSearch, readUserSearch, readUsersSearch } from "./search";

test("what is no filter is left out of an address", () => {
  expect(readOverviewSearch({ days: 8 })).toEqual({});
  expect(readUsersSearch({ search: "  ", offset: -20, more: 1 })).toEqual({});
  expect(readUserSearch({ tab: "secrets", kind: "toString" })).toEqual({});
  expect(readLedgerSearch({ account: ["x"], offset: "many" })).toEqual({});
  expect(readAuditSearch({ action: {}, offset: 0.5 })).toEqual({});
});

test("filters come back as they were given", () => {
  expect(readOverviewSearch({ days: "7" })).toEqual({ days: 7 });
  expect(readUsersSearch({ search: 42, offset: 20 })).toEqual({ search: "42", offset: 20 });
  expect(readUserSearch({ tab: "ledger", kind: "charge" })).toEqual({ tab: "ledger", kind: "charge" });
  expect(readLedgerSearch({ account: "ada@example.com", kind: "top_up" })).toEqual({
    account: "ada@example.com",
    kind: "top_up",
  });
  const filters = { action: "user.disabled", actor: "ada@example.com", subject: "free", offset: 50 };
  expect(readAuditSearch(filters)).toEqual(filters);
});
