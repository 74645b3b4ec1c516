/** The modals that the app opened for the viewer: a stack of views, of which the topmost shows. */

import { Refused } from "./api.js";
import { blocks } from "./blocks.js";
import { h, icon } from "./dom.js";
import { Form } from "./form.js";
import { plainString, textObject } from "./mrkdwn.js";

export class Modals {
  /** `actions`: `submitView(view, values)`, `closeView(view, all)`, `keepInput(view, block, state)`, `useInView(view, use)`. */
  constructor(actions) {
    this.actions = actions;
    this.forms = new Map();
    this.stack = [];
    this.drawn = "";
    this.busy = null;
    this.dialog = h("dialog", {
      class: "dialog modal",
      testid: "modal",
      aria: { labelledby: "modal-title" },
    });
    this.dialog.addEventListener("cancel", (event) => event.preventDefault());
    this.dialog.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.dialog.querySelector("[popover]")) return;
      event.preventDefault();
      this.close(false);
    });
    document.body.append(this.dialog);
  }

  get view() {
    return this.stack.at(-1) ?? null;
  }

  /** Shows the stack: `views` as the workspace lists them, the topmost last. */
  show(views, directory) {
    this.stack = views;
    const { view } = this;
    for (const id of this.forms.keys()) if (!views.some((open) => open.id === id)) this.forms.delete(id);
    const signature = JSON.stringify([
      views.length,
      directory.viewer,
      view && { ...view, state: null, errors: null },
    ]);
    if (signature === this.drawn) return;
    this.drawn = signature;
    if (!view) {
      this.dialog.close();
      this.dialog.replaceChildren();
      return;
    }
    const caret = caretIn(this.dialog);
    this.draw(view, directory);
    if (!this.dialog.open) this.dialog.showModal();
    this.focus(caret);
  }

  draw(view, directory) {
    const form = this.formOf(view, directory);
    const surface = {
      directory,
      form,
      expanded: form.expanded,
      interact: (use) => this.use(view, form, use),
    };
    const content = h(
      "form",
      { class: "modal__form", novalidate: true },
      this.head(view, directory),
      h("div", { class: "modal__body", tabindex: "-1" }, blocks(view.blocks, surface)),
      this.foot(view, directory),
    );
    content.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit(view, form);
    });
    this.dialog.replaceChildren(content);
    this.dialog.dataset.view = view.id;
    this.dialog.dataset.callback = view.callback_id;
  }

  formOf(view, directory) {
    const known = this.forms.get(view.id);
    if (known) {
      known.renew();
      return known;
    }
    const form = new Form(view.id, directory, view.state.values, {
      dispatch: (use) => this.use(view, form, use),
      keep: (block, state) =>
        this.busy === view.id || this.view?.id !== view.id ? null : this.actions.keepInput(view, block, state),
    });
    this.forms.set(view.id, form);
    return form;
  }

  head(view, directory) {
    const back = h(
      "button",
      { type: "button", class: "button button--quiet", aria: { label: "Back" } },
      icon("back"),
    );
    const dismiss = h(
      "button",
      { type: "button", class: "button button--quiet", testid: "modal-dismiss", aria: { label: "Close" } },
      icon("close"),
    );
    back.addEventListener("click", () => this.close(false));
    dismiss.addEventListener("click", () => this.close(true));
    return h(
      "header",
      { class: "modal__head" },
      this.stack.length > 1 && back,
      h("h2", { class: "dialog__title", id: "modal-title" }, textObject(view.title, directory)),
      dismiss,
    );
  }

  foot(view, directory) {
    this.trouble = h("p", { class: "modal__trouble", role: "alert", testid: "modal-error" });
    const words =
      plainString(view.close) || (this.stack.length > 1 ? "Back" : view.submit ? "Cancel" : "Close");
    const close = h("button", { type: "button", class: "button", testid: "modal-close" }, words);
    close.addEventListener("click", () => this.close(false));
    const submit =
      view.submit &&
      h(
        "button",
        {
          type: "submit",
          class: "button button--primary",
          testid: "modal-submit",
          disabled: view.submit_disabled,
        },
        h("span", { class: "button__label" }, textObject(view.submit, directory)),
      );
    return h("footer", { class: "dialog__foot" }, this.trouble, close, submit);
  }

  submit(view, form) {
    if (!view.submit || !form.check()) return;
    this.during(async () => {
      const answer = await this.actions.submitView(view, form.values());
      if (answer.response_action === "errors") this.refuse(form, answer.errors);
    }, form);
  }

  close(all) {
    this.during(() => this.actions.closeView(this.view, all));
  }

  /** An element in the view: the app gets it together with all that was filled in before. */
  async use(view, form, use) {
    await form.keeping;
    await this.actions.useInView(view, use);
  }

  /**
   * One thing at a time for one view: while the app is being waited for, nothing else is sent of it. The view that
   * comes to the top meanwhile (below one that closes, above one that was submitted) can be used at once.
   */
  async during(work, form = null) {
    const { view } = this;
    if (!view || this.busy === view.id) return;
    this.setBusy(view.id);
    this.say("");
    try {
      await work();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const { errors } = error.body;
      if (form && errors && !Array.isArray(errors)) this.refuse(form, errors);
      else this.say(error.message);
    } finally {
      if (this.busy === view.id) this.setBusy(null);
    }
  }

  /** `busy`: the view on top, whose app is being waited for, or null. */
  setBusy(busy) {
    this.busy = busy;
    const button = this.dialog.querySelector("[data-testid=modal-submit]");
    if (!button) return;
    button.setAttribute("aria-busy", String(busy !== null));
    button.disabled = busy !== null || Boolean(this.view?.submit_disabled);
  }

  refuse(form, errors) {
    this.say(form.show(errors).join(" "));
  }

  say(text) {
    this.trouble.replaceChildren(...(text ? [icon("alert"), text] : []));
  }

  focus(caret) {
    const same = caret && document.getElementById(caret.id);
    const first = this.dialog.querySelector("[autofocus], .modal__body :is(input, textarea, select)");
    // A form at the end does not scroll away what it is about.
    (same ?? first ?? this.dialog.querySelector(".modal__body")).focus({ preventScroll: !same });
    if (same && caret.at !== null) same.setSelectionRange(caret.at, caret.at);
  }
}

/** Where the reader is typing, so that a redrawn view goes on there. */
function caretIn(dialog) {
  const active = document.activeElement;
  if (!active?.id || !dialog.contains(active)) return null;
  return { id: active.id, at: /^(text|textarea)$/.test(active.type) ? active.selectionStart : null };
}
