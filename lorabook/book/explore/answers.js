// The answers of all states, sent once (`Answers.packed` in answers.py); the browser looks up the one it needs.
import { row } from "./numbers.js";

const FORMS = { text: (parts) => parts.join(" "), list: (parts) => parts, one: (parts) => parts[0] };

export function answerAt({ controls, columns }, state) {
  const at = controls.reduce((place, { name, values }) => place * values.length + values.indexOf(state[name]), 0);
  const entries = Object.entries(columns).map(([name, { form, which, parts }]) => {
    const chosen = [...row(which, at)].filter((number) => number > 0).map((number) => parts[number - 1]);
    return [name, FORMS[form](chosen)];
  });
  return Object.fromEntries(entries);
}
