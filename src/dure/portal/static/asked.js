// Hides the questions of a form that the other answers rule out. Without it all are shown, each with the answer that
// it belongs to; one that is filled in or wrong is never hidden.

const form = document.querySelector("form:has([data-asked-if])");
const follow = () => {
  for (const group of form.querySelectorAll("[data-asked-if]")) {
    const other = form.elements.namedItem(group.dataset.askedIf);
    const among = group.dataset.askedAmong.split(" ");
    const own = [...group.querySelectorAll("input:not([type=hidden]), select, textarea")];
    const filled = own.some((one) => (one.type === "checkbox" ? one.checked : one.value !== ""));
    const wrong = group.querySelector(".is-error") !== null;
    group.hidden = Boolean(other) && !filled && !wrong && !among.includes(other.value);
  }
};
if (form) {
  form.addEventListener("change", follow);
  follow();
}
