import { Badge } from "@mantine/core";

/** What a user, key, model or upstream is at present, told by words as well as by colour. */
export function Label({ children, color = "gray" }: { children: string; color?: string }) {
  return (
    // The tint tells them apart; letters in it would be too faint to be read by all.
    <Badge variant="light" color={color} c="var(--mantine-color-text)" tt="none" fw={500}>
      {children}
    </Badge>
  );
}

export function StatusLabel({ status }: { status: "active" | "disabled" }) {
  return status === "active" ? <Label color="jade">Active</Label> : <Label>Disabled</Label>;
}

export function RoleLabel({ role }: { role: "user" | "admin" }) {
  return role === "admin" ? <Label color="violet">Admin</Label> : <>User</>;
}
