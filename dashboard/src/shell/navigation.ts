/** The pages of the menu, in order. */

import {
  Activity,
  BookOpen,
  Boxes,
  ChartColumn,
  CreditCard,
  Gauge,
  KeyRound,
  LayoutDashboard,
  type LucideIcon,
  MessagesSquare,
  Network,
  ReceiptText,
  ScrollText,
  Settings,
  Tags,
  Users,
} from "lucide-react";
import type { LinkProps } from "@tanstack/react-router";

export interface Entry {
  to: NonNullable<LinkProps["to"]>;
  label: string;
  icon: LucideIcon;
}

export const PAGES: readonly Entry[] = [
  { to: "/dashboard", label: "Dashboard", icon: LayoutDashboard },
  { to: "/keys", label: "API keys", icon: KeyRound },
  { to: "/playground", label: "Playground", icon: MessagesSquare },
  { to: "/usage", label: "Usage", icon: ChartColumn },
  { to: "/billing", label: "Billing", icon: CreditCard },
  { to: "/models", label: "Models", icon: Boxes },
  { to: "/docs", label: "Docs", icon: BookOpen },
  { to: "/settings", label: "Settings", icon: Settings },
];

export const ADMIN_PAGES: readonly Entry[] = [
  { to: "/admin", label: "Overview", icon: Gauge },
  { to: "/admin/users", label: "Users", icon: Users },
  { to: "/admin/models", label: "Models and prices", icon: Tags },
  { to: "/admin/plans", label: "Plans", icon: Activity },
  { to: "/admin/upstreams", label: "Upstreams", icon: Network },
  { to: "/admin/ledger", label: "Ledger", icon: ReceiptText },
  { to: "/admin/audit", label: "Audit log", icon: ScrollText },
];
