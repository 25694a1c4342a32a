import { Button, Menu } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { Ban, ChevronDown, CircleCheck, Coins, ShieldCheck, ShieldOff, Tags } from "lucide-react";
import { useState } from "react";
import { type AdminUser, useChangeUser } from "@/api/adminUsers";
import type { Schemas } from "@/api/client";
import { useUser } from "@/api/session";
import { CreditForm } from "./CreditForm";
import { showFailure } from "./failure";
import { Reasoned } from "./Reasoned";
import { UserPlanForm } from "./UserPlanForm";

type Act = "credit" | "plan" | "status" | "role";

/** What an operator can do about a user; each act asks first. */
export function UserActs({ user }: { user: AdminUser }) {
  const [act, setAct] = useState<Act | null>(null);
  const change = useChangeUser(user.id);
  const isSelf = useUser().id === user.id;
  const isActive = user.status === "active";
  const isAdmin = user.role === "admin";
  const close = () => setAct(null);

  const apply = (body: Schemas["UserChange"], message: string) =>
    change.mutate(body, {
      onSuccess: () => {
        notifications.show({ message });
        close();
      },
      onError: (error) => showFailure(error),
    });

  return (
    <>
      <Menu position="bottom-end" width={250}>
        <Menu.Target>
          <Button variant="default" rightSection={<ChevronDown size={15} aria-hidden />}>
            Change
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item leftSection={<Tags size={15} />} onClick={() => setAct("plan")} disabled={!user.account}>
            Change plan…
          </Menu.Item>
          <Menu.Item
            leftSection={isAdmin ? <ShieldOff size={15} /> : <ShieldCheck size={15} />}
            onClick={() => setAct("role")}
            disabled={isSelf}
          >
            {isAdmin ? "Take the administration away…" : "Make an administrator…"}
          </Menu.Item>
          <Menu.Divider />
          <Menu.Item
            color={isActive ? "red" : "jade"}
            leftSection={isActive ? <Ban size={15} /> : <CircleCheck size={15} />}
            onClick={() => setAct("status")}
            disabled={isSelf}
          >
            {isActive ? "Disable…" : "Enable…"}
          </Menu.Item>
          {isSelf && <Menu.Label>Another administrator has to disable you or change your role.</Menu.Label>}
        </Menu.Dropdown>
      </Menu>
      <Button leftSection={<Coins size={16} aria-hidden />} onClick={() => setAct("credit")} disabled={!user.account}>
        Adjust credit
      </Button>

      {user.account && (
        <>
          <CreditForm user={user} account={user.account} opened={act === "credit"} onClose={close} />
          <UserPlanForm user={user} account={user.account} opened={act === "plan"} onClose={close} />
        </>
      )}
      <Reasoned
        opened={act === "status"}
        onClose={close}
        title={isActive ? `Disable ${user.email}?` : `Enable ${user.email}?`}
        confirm={isActive ? "Disable user" : "Enable user"}
        {...(isActive && { color: "red" })}
        isPending={change.isPending}
        onConfirm={(reason) =>
          apply(
            { status: isActive ? "disabled" : "active", reason },
            isActive ? `${user.email} is disabled.` : `${user.email} is enabled.`,
          )
        }
      >
        {isActive
          ? "All sessions end, and programs with the user’s API keys are refused from now on. Keys, credit and history stay, and you can enable the user again."
          : "The user can log in again, and the API keys that are active work again."}
      </Reasoned>
      <Reasoned
        opened={act === "role"}
        onClose={close}
        title={isAdmin ? `Take the administration away from ${user.email}?` : `Make ${user.email} an administrator?`}
        confirm={isAdmin ? "Take it away" : "Make administrator"}
        {...(!isAdmin && { color: "orange" })}
        isPending={change.isPending}
        onConfirm={(reason) =>
          apply(
            { role: isAdmin ? "user" : "admin", reason },
            isAdmin ? `${user.email} is an ordinary user now.` : `${user.email} is an administrator now.`,
          )
        }
      >
        {isAdmin
          ? "The user keeps the account, but sees no page of the administration any more."
          : "Administrators see everybody’s usage and money, change prices and credit, and can disable anybody but themselves."}
      </Reasoned>
    </>
  );
}
