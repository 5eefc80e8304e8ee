// Dark as Airflow is around the page; alone, as the browser prefers. And a way into Airflow's frame for who is outside.
(() => {
  const own = document.documentElement;
  const follow = (outer) => {
    const set = () => {
      own.dataset.theme = outer.classList.contains("dark") ? "dark" : "light";
    };
    set();
    new MutationObserver(set).observe(outer, { attributes: true, attributeFilter: ["class"] });
  };
  try {
    if (window.parent !== window) {
      follow(window.parent.document.documentElement);
      // The tab says what is shown; it has Airflow's title else.
      document.addEventListener("DOMContentLoaded", () => (window.parent.document.title = document.title));
      return;
    }
    if (["dark", "light"].includes(localStorage.getItem("theme"))) own.dataset.theme = localStorage.getItem("theme");
  } catch {
    // Framed by another site, or storage is off: the style sheet asks the browser.
  }
  document.addEventListener("DOMContentLoaded", () => {
    const link = document.getElementById("alone");
    if (!link) return;
    // Where Airflow's own frame finds this page: below the address of the plugin, with the page's whole path.
    const root = new URL(link.href).pathname.replace(/\/carpipe\/$/, "");
    link.href = `${root}/plugin/carpipe${location.pathname}${location.search}`;
    link.hidden = false;
  });
})();
