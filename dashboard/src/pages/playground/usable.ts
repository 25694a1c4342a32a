/** Which keys and models the playground may use. */

import type { Model, Plan } from "@/api/catalogue";
import type { Key } from "@/api/keys";
import { allows } from "@/api/allowed";

/** The keys that calls can be made with now. */
export function usableKeys(keys: readonly Key[], now: number): Key[] {
  return keys.filter(
    ({ status, expires_at }) => status === "active" && (expires_at === null || Date.parse(expires_at) > now),
  );
}

/** The chat models that both the plan and the key allow. Where the plan is not known, the server decides. */
export function usableModels(models: readonly Model[], plan: Plan | undefined, key: Key | undefined): Model[] {
  const keyed = key?.allowed_models ?? [];
  return models.filter(
    (model) =>
      model.kind === "chat" &&
      (!plan || allows(plan, model)) &&
      (keyed.length === 0 || keyed.includes(model.public_name)),
  );
}
