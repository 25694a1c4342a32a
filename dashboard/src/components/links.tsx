/** Mantine's links and buttons that lead to our own pages, with addresses and parameters checked by the compiler. */

import {
  Anchor,
  type AnchorProps,
  Button,
  type ButtonProps,
  Menu,
  type MenuItemProps,
  NavLink,
  type NavLinkProps,
} from "@mantine/core";
import { createLink } from "@tanstack/react-router";
import type { ComponentPropsWithRef } from "react";

type Of<Props> = Props & Omit<ComponentPropsWithRef<"a">, keyof Props | "color" | "style">;

export const AnchorLink = createLink((props: Of<AnchorProps>) => <Anchor {...props} />);
export const ButtonLink = createLink((props: Of<ButtonProps>) => <Button component="a" {...props} />);
export const NavLinkLink = createLink((props: Of<NavLinkProps>) => <NavLink component="a" {...props} />);
export const MenuLink = createLink((props: Of<MenuItemProps>) => <Menu.Item component="a" {...props} />);
