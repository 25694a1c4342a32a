import { MenuLink, NavLinkLink } from "@/components/links";
import {
  ActionIcon,
  AppShell,
  Avatar,
  Burger,
  Divider,
  Group,
  Menu,
  ScrollArea,
  Text,
  Tooltip,
  UnstyledButton,
  useComputedColorScheme,
  useMantineColorScheme,
} from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { notifications } from "@mantine/notifications";
import { Outlet, useLocation } from "@tanstack/react-router";
import { LogOut, Moon, Settings, Sun } from "lucide-react";
import { useEffect } from "react";
import { messageOf } from "@/api/errors";
import { useLogOut, useUser } from "@/api/session";
import { BalancePill } from "./BalancePill";
import { ConnectionBanner } from "./ConnectionBanner";
import { Logo } from "./Logo";
import { ADMIN_PAGES, type Entry, PAGES } from "./navigation";
import { SignInAgain } from "./SignInAgain";
import classes from "./Shell.module.css";

/** The frame of every page behind the log-in: menu, balance, account. */
export function Shell() {
  const [open, { toggle, close }] = useDisclosure();
  const { pathname } = useLocation();
  const user = useUser();
  useEffect(close, [pathname, close]);

  return (
    <AppShell
      header={{ height: 56 }}
      navbar={{ width: 232, breakpoint: "sm", collapsed: { mobile: !open } }}
      padding={{ base: "md", sm: "xl" }}
      classNames={{ navbar: classes.navbar!, header: classes.header!, main: classes.main! }}
    >
      <a className="skip-link" href="#content">
        Skip to the content
      </a>
      <AppShell.Header>
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group gap="sm" wrap="nowrap">
            <Burger opened={open} onClick={toggle} hiddenFrom="sm" size="sm" aria-label="Menu" aria-expanded={open} />
            <Logo isShort />
          </Group>
          <Group gap="xs" wrap="nowrap">
            <BalancePill />
            <SchemeToggle />
            <AccountMenu />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="sm" component="nav" aria-label="Pages">
        <AppShell.Section grow component={ScrollArea}>
          {PAGES.map((page) => (
            <Item key={page.to} page={page} current={isCurrent(page, pathname)} />
          ))}
          {user.role === "admin" && (
            <>
              <Divider my="sm" label="Administration" labelPosition="left" />
              {ADMIN_PAGES.map((page) => (
                <Item key={page.to} page={page} current={isCurrent(page, pathname)} />
              ))}
            </>
          )}
        </AppShell.Section>
      </AppShell.Navbar>
      <AppShell.Main>
        <ConnectionBanner />
        <div id="content" tabIndex={-1} className={classes.content}>
          <Outlet />
        </div>
      </AppShell.Main>
      <SignInAgain />
    </AppShell>
  );
}

function Item({ page, current }: { page: Entry; current: boolean }) {
  return (
    <NavLinkLink
      to={page.to}
      label={page.label}
      leftSection={<page.icon size={17} strokeWidth={1.8} aria-hidden />}
      active={current}
      // Else the link of `/admin` is marked on every page below it.
      activeOptions={{ exact: page.to === "/admin" }}
      aria-current={current ? "page" : undefined}
      className={classes.item!}
    />
  );
}

function isCurrent(page: Entry, pathname: string): boolean {
  if (page.to === "/admin") return pathname === "/admin";
  return pathname === page.to || pathname.startsWith(`${page.to}/`);
}

function SchemeToggle() {
  const { setColorScheme } = useMantineColorScheme();
  const scheme = useComputedColorScheme("light");
  const next = scheme === "dark" ? "light" : "dark";
  return (
    <Tooltip label={`Switch to ${next}`}>
      <ActionIcon
        variant="subtle"
        color="gray"
        size={36}
        onClick={() => setColorScheme(next)}
        aria-label={`Switch to ${next} colours`}
      >
        {scheme === "dark" ? <Sun size={18} /> : <Moon size={18} />}
      </ActionIcon>
    </Tooltip>
  );
}

function AccountMenu() {
  const user = useUser();
  const logOut = useLogOut();
  return (
    <Menu position="bottom-end" width={230}>
      <Menu.Target>
        <UnstyledButton aria-label={`Account of ${user.email}`} className={classes.account!}>
          <Avatar size={32} radius="xl" color="jade" />
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          <Text size="sm" fw={600} truncate>
            {user.name || user.email}
          </Text>
          {user.name && (
            <Text size="xs" truncate>
              {user.email}
            </Text>
          )}
        </Menu.Label>
        <Menu.Divider />
        <MenuLink to="/settings" leftSection={<Settings size={15} />}>
          Settings
        </MenuLink>
        <Menu.Item
          leftSection={<LogOut size={15} />}
          onClick={() =>
            logOut.mutate(undefined, {
              onError: (error) =>
                notifications.show({ color: "red", title: "Not logged out", message: messageOf(error) }),
            })
          }
        >
          Log out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
