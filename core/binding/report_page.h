// The style and the script of BindReport::html().
#pragma once

namespace graft {

inline constexpr const char* kReportStyle = R"(
ul { list-style: none; margin: 0; padding-left: 1.3rem; } .tree { padding-left: 0; }
summary { padding: .15rem .3rem; border-radius: .3rem; cursor: pointer; } summary:hover { background: var(--line); }
summary:focus-visible, input:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
code, dd { font-family: ui-monospace, monospace; font-size: .92em; overflow-wrap: anywhere; }
.state { display: inline-block; white-space: nowrap; padding: 0 .5em; border: 1px solid currentColor; border-radius: 1em; font-size: .85em; }
.bound { color: var(--good); } .own { color: var(--faint); } .disabled { color: var(--warn); } .fallback { color: var(--bad); font-weight: 600; }
.faint { color: var(--faint); } .why { color: var(--faint); margin-left: 1.4rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem .9rem; margin: .2rem 0 .7rem 1.4rem; padding: .4rem .7rem; border-left: 3px solid var(--line); }
dt { color: var(--faint); } dd { margin: 0; }
form { position: sticky; top: 0; display: flex; flex-wrap: wrap; gap: .4rem 1.1rem; align-items: center; padding: .6rem 0; background: var(--page); border-bottom: 1px solid var(--line); }
input[type=search] { font: inherit; width: 20rem; max-width: 70vw; padding: .2rem .4rem; color: inherit; background: inherit; border: 1px solid var(--faint); border-radius: .3rem; }
[hidden] { display: none !important; }
@media print { form { display: none; } }
)";

// Words that all have to occur, and the states that are ticked. What was unfolded before comes back when the filter is empty;
// the words stand behind the address's #, so that a page that is asked for anew keeps them.
inline constexpr const char* kReportScript = R"(
'use strict';
const form = document.getElementById('filter'), words = document.getElementById('words'), shown = document.getElementById('shown');
const states = [...form.querySelectorAll('input[type=checkbox]')];
const layers = [...document.querySelectorAll('li.layer')].map(item => ({item, text: item.textContent.toLowerCase()}));
const modules = [...document.querySelectorAll('li.module')].reverse();
let before = null;
function filter() {
  const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  const ticked = new Set(states.filter(box => box.checked).map(box => box.value));
  const filtering = wanted.length > 0 || ticked.size < states.length;
  if (filtering && before === null) before = modules.map(module => module.firstElementChild.open);
  let count = 0;
  for (const {item, text} of layers) {
    item.hidden = !(ticked.has(item.dataset.state) && wanted.every(word => text.includes(word)));
    count += item.hidden ? 0 : 1;
  }
  modules.forEach((module, i) => {
    module.hidden = module.querySelector('li.layer:not([hidden])') === null;
    if (filtering) module.firstElementChild.open = !module.hidden;
    else if (before !== null) module.firstElementChild.open = before[i];
  });
  if (!filtering) before = null;
  shown.textContent = filtering ? count + ' of ' + layers.length + ' layers' : '';
  history.replaceState(null, '', words.value ? '#' + encodeURIComponent(words.value) : location.pathname + location.search);
}
form.hidden = false;
form.addEventListener('input', filter);
form.addEventListener('submit', event => event.preventDefault());
try { words.value = decodeURIComponent(location.hash.slice(1)); } catch { words.value = ''; }
if (words.value) filter();
)";

}  // namespace graft
