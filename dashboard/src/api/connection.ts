/** Whether the server answers, for the banner. */

import { makeFlag } from "./flag";

export const connected = makeFlag(true);
