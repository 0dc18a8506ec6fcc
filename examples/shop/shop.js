// Forms with `data-answer` answer in place. Without this script they come back to the page.
"use strict";

const find = (id) => document.getElementById(id);

const show = {
  cart({ cart, error }) {
    const note = find("cart-note");
    note.classList.toggle("bad", Boolean(error));
    note.textContent = error ? "It is full." : cart.length ? "" : "Nothing in it yet.";
    if (error) return;
    const counts = new Map();
    for (const item of cart) counts.set(item, (counts.get(item) ?? 0) + 1);
    find("cart-lines").replaceChildren(...[...counts].map(([item, count]) => {
      const line = document.createElement("li");
      for (const text of [item, `× ${count}`]) {
        const span = document.createElement("span");
        span.textContent = text;
        line.append(span);
      }
      return line;
    }));
    find("cart-count").textContent = find("cart-count").textContent.replace(/^\d+/, cart.length);
  },

  async captcha({ ok }, form) {
    if (ok) {
      const heading = document.createElement("h2");
      heading.textContent = "You are human";
      const text = document.createElement("p");
      text.textContent = "You have read the letters, so it must be true.";
      find("captcha").replaceChildren(heading, text);
      return;
    }
    const { id } = await (await fetch("/captcha")).json();
    form.elements.id.value = id;
    form.elements.code.value = "";
    form.elements.code.focus();
    find("captcha-picture").src = `/captcha/${id}.svg`;
    find("captcha-note").classList.add("bad");
    find("captcha-note").textContent = "That was not it. Here is another.";
  },
};

document.addEventListener("submit", async (event) => {
  const { form, submitter } = { form: event.target, submitter: event.submitter };
  const answer = show[form.dataset.answer];
  if (!answer) return;
  event.preventDefault();
  try {
    const body = new URLSearchParams(new FormData(form, submitter));
    const response = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
    await answer(await response.json(), form);
  } catch {
    // No answer, or no sense in it: let the browser do it the plain way.
    form.removeAttribute("data-answer");
    submitter ? form.requestSubmit(submitter) : form.submit();
  }
});
