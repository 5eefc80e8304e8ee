// Light or dark as Airflow is around the page; alone, as the browser prefers.
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
    } else if (["dark", "light"].includes(localStorage.getItem("theme"))) {
      own.dataset.theme = localStorage.getItem("theme");
    }
  } catch {
    // Framed by another site, or storage is off: the style sheet asks the browser.
  }
})();
