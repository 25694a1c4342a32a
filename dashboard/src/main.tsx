import "@fontsource-variable/inter/wght.css";
import "@mantine/core/styles.css";
import "@mantine/notifications/styles.css";
import "./global.css";

import { MantineProvider } from "@mantine/core";
import { ModalsProvider } from "@mantine/modals";
import { Notifications } from "@mantine/notifications";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { makeQueryClient } from "./api/query";
import { makeRouter } from "./router";
import { noteSignedOut } from "./shell/signed-out";
import { theme } from "./theme";

const root = document.getElementById("root");
if (!root) throw new Error("the page has no root");

// A page that the browser kept in its memory may be of somebody who has logged out since.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

const queryClient = makeQueryClient(noteSignedOut);
const router = makeRouter(queryClient);

createRoot(root).render(
  <StrictMode>
    <MantineProvider theme={theme} defaultColorScheme="auto">
      <QueryClientProvider client={queryClient}>
        <ModalsProvider>
          <Notifications position="bottom-right" />
          <RouterProvider router={router} />
        </ModalsProvider>
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
