// Sets the colour scheme before anything is painted. A file of its own, since the page allows no inline script.
(() => {
    let chosen = "auto";
    try {
        chosen = localStorage.getItem("mantine-color-scheme-value") || "auto";
    } catch {
        // Storage is switched off: the system's scheme it is.
    }
    const dark = chosen === "dark" || (chosen === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
    document.documentElement.setAttribute("data-mantine-color-scheme", dark ? "dark" : "light");
})();
