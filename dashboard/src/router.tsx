/** The pages and their addresses; each is loaded when it is first opened. */

import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from "@tanstack/react-router";
import { me } from "./api/session";
import {
  readAuditSearch,
  readLedgerSearch,
  readOverviewSearch,
  readUserSearch,
  readUsersSearch,
} from "./pages/admin/search";
import { readBillingSearch } from "./pages/billing/search";
import { usageSearch } from "./pages/usage/search";
import { LoadFailed, NotFound, PageSkeleton } from "./shell/fallbacks";
import { Shell } from "./shell/Shell";

interface Context {
  queryClient: QueryClient;
}

const root = createRootRouteWithContext<Context>()({ component: Outlet, notFoundComponent: NotFound });

/** Where to go after the log-in: a page of ours, whatever the address says. */
function nextOf(search: Record<string, unknown>): { next?: string } {
  const next = search["next"];
  return typeof next === "string" && /^\/(?![/\\])/.test(next) ? { next } : {};
}

const front = createRoute({
  getParentRoute: () => root,
  id: "front",
  beforeLoad: async ({ context, search }) => {
    const user = await context.queryClient.ensureQueryData(me).catch(() => null);
    if (user) throw redirect({ href: nextOf(search).next ?? "/dashboard" });
  },
});

const signup = createRoute({
  getParentRoute: () => front,
  path: "/signup",
  validateSearch: nextOf,
  component: lazyRouteComponent(() => import("./pages/front/SignUp")),
});

const login = createRoute({
  getParentRoute: () => front,
  path: "/login",
  validateSearch: nextOf,
  component: lazyRouteComponent(() => import("./pages/front/LogIn")),
});

/** Everything that needs a session. */
const inside = createRoute({
  getParentRoute: () => root,
  id: "inside",
  component: Shell,
  beforeLoad: async ({ context, location }) => {
    const user = await context.queryClient.ensureQueryData(me);
    if (!user) throw redirect({ to: "/login", search: { next: location.href } });
    return { user };
  },
});

const home = createRoute({
  getParentRoute: () => inside,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/dashboard" });
  },
});

const dashboard = createRoute({
  getParentRoute: () => inside,
  path: "/dashboard",
  component: lazyRouteComponent(() => import("./pages/dashboard/Dashboard")),
});

const keys = createRoute({
  getParentRoute: () => inside,
  path: "/keys",
  component: lazyRouteComponent(() => import("./pages/keys/Keys")),
});

const billing = createRoute({
  getParentRoute: () => inside,
  path: "/billing",
  validateSearch: readBillingSearch,
  component: lazyRouteComponent(() => import("./pages/billing/Billing")),
});

const usage = createRoute({
  getParentRoute: () => inside,
  path: "/usage",
  validateSearch: usageSearch,
  component: lazyRouteComponent(() => import("./pages/usage/Usage")),
});

const models = createRoute({
  getParentRoute: () => inside,
  path: "/models",
  component: lazyRouteComponent(() => import("./pages/models/Models")),
});

const playground = createRoute({
  getParentRoute: () => inside,
  path: "/playground",
  validateSearch: ({ model }: { model?: unknown }): { model?: string } =>
    typeof model === "string" || typeof model === "number" ? { model: String(model) } : {},
  component: lazyRouteComponent(() => import("./pages/playground/Playground")),
});

const settings = createRoute({
  getParentRoute: () => inside,
  path: "/settings",
  component: lazyRouteComponent(() => import("./pages/settings/Settings")),
});

const docs = createRoute({
  getParentRoute: () => inside,
  path: "/docs",
  component: lazyRouteComponent(() => import("./pages/docs/Docs")),
});

const admin = createRoute({
  getParentRoute: () => inside,
  path: "/admin",
  beforeLoad: ({ context }) => {
    if (context.user.role !== "admin") throw redirect({ to: "/dashboard" });
  },
});

const adminOverview = createRoute({
  getParentRoute: () => admin,
  path: "/",
  validateSearch: readOverviewSearch,
  component: lazyRouteComponent(() => import("./pages/admin/Overview")),
});

const adminUsers = createRoute({
  getParentRoute: () => admin,
  path: "/users",
  validateSearch: readUsersSearch,
  component: lazyRouteComponent(() => import("./pages/admin/Users")),
});

const adminUser = createRoute({
  getParentRoute: () => admin,
  path: "/users/$userId",
  validateSearch: readUserSearch,
  component: lazyRouteComponent(() => import("./pages/admin/User")),
});

const adminModels = createRoute({
  getParentRoute: () => admin,
  path: "/models",
  component: lazyRouteComponent(() => import("./pages/admin/Models")),
});

const adminPlans = createRoute({
  getParentRoute: () => admin,
  path: "/plans",
  component: lazyRouteComponent(() => import("./pages/admin/Plans")),
});

const adminUpstreams = createRoute({
  getParentRoute: () => admin,
  path: "/upstreams",
  component: lazyRouteComponent(() => import("./pages/admin/Upstreams")),
});

const adminLedger = createRoute({
  getParentRoute: () => admin,
  path: "/ledger",
  validateSearch: readLedgerSearch,
  component: lazyRouteComponent(() => import("./pages/admin/Ledger")),
});

const adminAudit = createRoute({
  getParentRoute: () => admin,
  path: "/audit",
  validateSearch: readAuditSearch,
  component: lazyRouteComponent(() => import("./pages/admin/Audit")),
});

const tree = root.addChildren([
  front.addChildren([signup, login]),
  inside.addChildren([
    home,
    dashboard,
    keys,
    billing,
    usage,
    models,
    playground,
    settings,
    docs,
    admin.addChildren([
      adminOverview,
      adminUsers,
      adminUser,
      adminModels,
      adminPlans,
      adminUpstreams,
      adminLedger,
      adminAudit,
    ]),
  ]),
]);

export function makeRouter(queryClient: QueryClient) {
  return createRouter({
    routeTree: tree,
    context: { queryClient },
    defaultPreload: "intent",
    // What a page's validateSearch leaves out is gone; else it would come through as it stands in the address.
    search: { strict: true },
    scrollRestoration: true,
    defaultPendingComponent: PageSkeleton,
    defaultErrorComponent: LoadFailed,
    defaultNotFoundComponent: NotFound,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
