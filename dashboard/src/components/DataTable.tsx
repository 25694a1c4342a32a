import { Skeleton, Table } from "@mantine/core";
import { type ColumnDef, createColumnHelper, type RowData, tableFeatures, useTable } from "@tanstack/react-table";
import type { ReactNode } from "react";
import classes from "./DataTable.module.css";

const features = tableFeatures({ columnMeta: {} as { align?: "left" | "right"; width?: number | string } });

type Features = typeof features;

/** Makes the columns of a table of `T`: `columnsOf<Event>().accessor("cost_usd", {header: "Cost", ...})`. */
export function columnsOf<T extends RowData>() {
  return createColumnHelper<Features, T>();
}

// A column's value can be anything; what a cell shows is typed where the column is made.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Columns<T extends RowData> = ColumnDef<Features, T, any>[];

interface Props<T extends RowData> {
  /** What the table shows, for those who can't see it. */
  label: string;
  columns: Columns<T>;
  /** Undefined while they are loaded. */
  rows: readonly T[] | undefined;
  rowKey: (row: T) => string;
  /** In the place of rows, where there are none. */
  empty: ReactNode;
  onRowClick?: (row: T) => void;
  /** How many rows to pretend while they are loaded, so that nothing jumps. */
  expectedRows?: number;
  minWidth?: number;
}

/** A table that scrolls sideways where it is narrow. Rows come by page from the server: it neither sorts nor filters. */
export function DataTable<T extends RowData>(props: Props<T>) {
  const { label, columns, rows, rowKey, empty, onRowClick, expectedRows = 8, minWidth = 640 } = props;
  const table = useTable({ features, columns, data: (rows ?? []) as T[], getRowId: rowKey });
  if (rows?.length === 0) return empty;

  return (
    <Table.ScrollContainer minWidth={minWidth} type="native" tabIndex={0} role="region" aria-label={label}>
      <Table verticalSpacing="xs" highlightOnHover={Boolean(onRowClick)} className={classes.table!} aria-label={label}>
        <Table.Thead>
          {table.getHeaderGroups().map((group) => (
            <Table.Tr key={group.id}>
              {group.headers.map((header) => (
                <Table.Th
                  key={header.id}
                  ta={header.column.columnDef.meta?.align ?? "left"}
                  w={header.column.columnDef.meta?.width}
                >
                  <table.FlexRender header={header} />
                </Table.Th>
              ))}
            </Table.Tr>
          ))}
        </Table.Thead>
        <Table.Tbody>
          {rows === undefined
            ? Array.from({ length: expectedRows }, (_, index) => <Waiting key={index} columns={columns.length} />)
            : table.getRowModel().rows.map((row) => (
                <Table.Tr
                  key={row.id}
                  onClick={onRowClick && (() => onRowClick(row.original))}
                  className={onRowClick && classes.clickable!}
                >
                  {row.getAllCells().map((cell) => (
                    <Table.Td key={cell.id} ta={cell.column.columnDef.meta?.align ?? "left"}>
                      <table.FlexRender cell={cell} />
                    </Table.Td>
                  ))}
                </Table.Tr>
              ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

function Waiting({ columns }: { columns: number }) {
  return (
    <Table.Tr aria-hidden>
      {Array.from({ length: columns }, (_, index) => (
        <Table.Td key={index}>
          <Skeleton height={14} my={4} width={index === 0 ? "80%" : "55%"} />
        </Table.Td>
      ))}
    </Table.Tr>
  );
}
