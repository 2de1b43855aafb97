// What a page needs beyond the theme, for those who read with a keyboard or a screen reader.

const WIDE = "article pre, article .output, article .pst-scrollable-table-container, mjx-container[display]";

// Whatever scrolls sideways can be reached with the tab key.
const reachable = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});

// A widget's slider says what it changes.
const describe = () => {
  for (const handle of document.querySelectorAll(".noUi-handle:not([aria-label])")) {
    const label = handle.closest(".jupyter-widgets")?.querySelector(".widget-label");
    handle.setAttribute("aria-label", label?.textContent || "value");
  }
};

document.addEventListener("DOMContentLoaded", () => {
  // ipywidgets speaks to MathJax 2; this is its successor's answer.
  if (window.MathJax) window.MathJax.Hub ??= { Queue: ([, , element]) => window.MathJax.typesetPromise?.([element]) };
  if (document.querySelector('script[type$="widget-view+json"]')) {
    new MutationObserver(describe).observe(document.body, { childList: true, subtree: true });
  }
});

window.addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  document.querySelectorAll(WIDE).forEach((element) => reachable.observe(element));
});
