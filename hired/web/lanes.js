// The rows at the heads of the panes and the simple budget. One hidden text says what all panes are:
// what is changed here is written there at once, and what is written there is shown here.
const find = (selector, from = document) => from.querySelector(selector);
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
let methods = null, most = 4, state = {lanes: ['full', 'hired'], seen: 1, linked: false};
let memory = [];  // of each pane, what was set and its method of now does not have
let alikeWhen = [];  // the lanes when they were linked: what was alike then stays alike
const written = [];  // the last texts written here, which gradio tells again, some twice

const make = (tag, attributes = {}, ...inside) => {
  const made = document.createElement(tag);
  Object.entries(attributes).forEach(([name, value]) => {
    if (value !== null && value !== false) made.setAttribute(name, value === true ? '' : value);
  });
  made.append(...inside);
  return made;
};
const parse = (lane) => {
  const [name, ...rest] = lane.split(':');
  const pairs = rest.join(':').split(',').filter(Boolean).map((part) => {
    const at = part.indexOf('=');
    return [part.slice(0, at), part.slice(at + 1)];
  });
  return {name, given: Object.fromEntries(pairs)};
};
const has = (lane, key) => key in methods[lane.name].settings;
const valueOf = (lane, key) => lane.given[key] ?? methods[lane.name].settings[key].usual;
const join = (lane) => {
  const keys = Object.keys(methods[lane.name].settings);
  const said = keys.filter((key) => valueOf(lane, key) !== methods[lane.name].settings[key].usual);
  return lane.name + (said.length ? ':' : '') + said.map((key) => `${key}=${valueOf(lane, key)}`).join(',');
};
const lanes = () => state.lanes.map(parse);

const write = (next) => {
  state = {...state, ...next};
  const box = find('#panes-text textarea, #panes-text input');
  box.value = JSON.stringify(state);
  written.splice(0, 0, box.value);
  written.length = Math.min(written.length, 40);
  box.dispatchEvent(new Event('input', {bubbles: true}));
  show();
};
const put = (every, seen) => write({lanes: every.map(join), seen});
const rearrange = (next) => {  // other panes, or another method in one
  write(next);
  alikeWhen = lanes();
};
const edit = (index, key, value) => {
  const every = lanes(), own = alikeWhen[index];
  every.forEach((lane, other) => {  // not what they differ in, even while it passes the same value
    const alike = state.linked && has(lane, key) && valueOf(alikeWhen[other], key) === valueOf(own, key);
    if (other === index || alike) lane.given[key] = value;
  });
  put(every, index);
};
const choose = (index, name) => {
  const every = lanes(), old = every[index];
  const others = Object.entries(memory[index] ?? {}).filter(([key]) => !has(old, key));
  memory[index] = {...Object.fromEntries(others), ...old.given};
  if (name === 'hand') state.start = join(old);
  every[index] = {name, given: memory[index]};
  rearrange({lanes: every.map(join), seen: index});
};
const other = (index) => (index ? index - 1 : 1);  // the pane that it is compared with
const simple = () => {  // the pane whose budget the simple view moves
  const every = lanes();
  return [1, 0, 2, 3].find((index) => every[index] && has(every[index], 'budget'));
};

// Controls, made from what a method declares.
const control = (index, key, one) => {
  const same = {class: 'box', 'data-key': key, 'aria-label': `${one.label}, pane ${index + 1}`};
  if (one.kind === 'flag') return [make('input', {...same, type: 'checkbox'})];
  if (one.kind === 'choice') {
    return [make('select', same, ...one.choices.map(([value, words]) => make('option', {value}, words)))];
  }
  const limits = {min: one.low ?? 0, max: one.high, step: one.kind === 'whole' ? 1 : 'any'};
  if (one.kind === 'text') return [make('input', {...same, type: 'text', spellcheck: 'false'})];
  const number = make('input', {...same, ...limits, type: 'number'});
  if (one.kind !== 'range') return [number];
  return [number, make('input', {...same, ...limits, step: one.step, type: 'range'})];
};
const build = (row, index, lane) => {
  const title = `pane ${index + 1}`, {settings} = methods[lane.name];
  const names = Object.entries(methods).map(([value, one]) => make('option', {value, title: one.summary}, one.title));
  const own = Object.entries(settings).filter(([key]) => key !== 'budget').map(([key, one]) => make(
    'label', {class: `own ${key.replaceAll('_', '-')}`}, make('b', {}, one.label), ...control(index, key, one), make('small', {}, one.help)
  ));
  const link = make('label', {class: 'link'}, make('input', {type: 'checkbox', class: 'linked'}), 'Link the panes: a change goes to all that are alike in it');
  const button = (name, words, more = {}) => make('button', {type: 'button', class: 'box', 'data-do': name, ...more}, words);
  row.replaceChildren(
    make('select', {class: 'box method', 'aria-label': `Method of ${title}`}, ...names),
    ...('budget' in settings ? [make('input', {class: 'box keep', 'data-key': 'budget', 'aria-label': `Budget of ${title}`, title: settings.budget.help, inputmode: 'decimal'})] : []),
    button('same', '=', {tabindex: -1}),  // for hands; the keyboard has it under "more"
    button('see', '◉', {'aria-label': `Show ${title} in the picture`, title: 'Show in the picture'}),
    make('details', {class: 'more'}, make('summary', {class: 'box', 'aria-label': `More settings of ${title}`}, 'more'), make(
      'div', {class: 'panel'}, make('p', {class: 'does'}, methods[lane.name].summary),
      make('p', {class: 'acts'}, button('same', ''), button('add', 'Add a pane'), button('remove', 'Remove this pane')), link, ...own,
    )),
  );
  row.dataset.method = lane.name;
};
const set = (input, value) => {
  if (input.type === 'checkbox') input.checked = value === 'true';
  else if (document.activeElement !== input && input.value !== value) input.value = value;
};
const placeOf = (control, row) => {  // the selector of a control in its row
  if (!row.contains(control)) return null;
  const {key, do: act} = control.dataset;
  return key ? `[data-key=${key}][type="${control.type}"], [data-key=${key}]` : act ? `${control.closest('.panel') ? '.panel ' : ''}[data-do=${act}]` : control.matches('.method') ? '.method' : 'summary';
};
const showRow = (lane, index) => {
  const row = find(`.lane-form[data-index="${index}"]`);
  if (!row) return;
  if (row.dataset.method !== lane.name || !row.firstChild) {
    const open = find('details', row)?.open, focused = placeOf(document.activeElement, row);
    build(row, index, lane);
    find('details', row).open = open ?? false;
    if (focused) (find(focused, row) ?? find('summary', row)).focus();
  }
  find('.method', row).value = lane.name;
  all('[data-key]', row).forEach((input) => set(input, valueOf(lane, input.dataset.key)));
  find('.linked', row).checked = Boolean(state.linked);
  const same = `Same as ${state.lanes.length > 2 ? `pane ${other(index) + 1}` : 'the other pane'}`;
  all('[data-do=same]', row).forEach((button) => { button.title = same; button.ariaLabel = same; });
  find('.panel [data-do=same]', row).textContent = same;
  find('[data-do=see]', row).setAttribute('aria-pressed', index === state.seen);
  find('[data-do=see]', row).tabIndex = index === state.seen ? -1 : 0;  // nothing to do there
  find('[data-do=add]', row).disabled = state.lanes.length >= most;
  find('[data-do=remove]', row).disabled = state.lanes.length <= 2;
};
const rateOf = (budget) => {  // per cent, or null of a count
  if (budget.endsWith('%')) return budget.slice(0, -1);
  const share = budget.includes('.') && Number(budget) <= 1;  // 2.5 is a count half typed
  return share ? String(Math.round(Number(budget) * 1e6) / 1e4) : null;
};
const showBudget = () => {
  const place = simple(), part = find('#budget');
  if (!part || !find('#rate', part)) return;
  part.classList.toggle('none', place === undefined);
  if (place === undefined) return;
  const budget = valueOf(lanes()[place], 'budget'), rate = rateOf(budget);
  const several = lanes().filter((lane) => has(lane, 'budget')).length > 1;
  find('legend', part).textContent = several ? `Budget, pane ${place + 1}` : methods[lanes()[place].name].settings.budget.label;
  find(`#kind [value=${rate === null ? 'count' : 'rate'}]`).checked = true;
  find('#rate').hidden = rate === null;
  find('#count').hidden = rate !== null;
  if (rate === null) set(find('#count input'), budget);
  else all('#rate input').forEach((input) => set(input, rate));
};
const show = (text) => {
  if (text) state = {...state, ...JSON.parse(text)};
  if (!methods) return;
  state.lanes = state.lanes.map((lane) => (parse(lane).name in methods ? lane : 'full'));
  if (text || !alikeWhen.length) [memory, alikeWhen] = [[], lanes()];
  const dropping = lanes().filter((lane) => lane.name !== 'full').length;
  document.body.dataset.panes = state.lanes.length;
  document.body.dataset.dropping = dropping;
  if (dropping < 2 && find('#mode label:last-of-type input')?.checked) find('#mode input').click();
  lanes().forEach(showRow);
  showBudget();
  showByHand();
};

const goTo = (index) => {  // a pane that came, or that stands where one was
  all('.lane-form details[open]').forEach((more) => { more.open = false; });
  find(`.lane-form[data-index="${index}"] .method`).focus();
};
const acts = {
  see: (index) => write({seen: index}),
  same: (index) => rearrange({lanes: state.lanes.map((lane, at) => (at === index ? state.lanes[other(index)] : lane)), seen: index}),
  add: (index) => {
    rearrange({lanes: [...state.lanes, state.lanes[index]], seen: state.lanes.length});
    goTo(state.seen);
  },
  remove: (index) => {
    memory.splice(index, 1);
    rearrange({lanes: state.lanes.filter((_, at) => at !== index), seen: Math.max(0, index - 1)});
    goTo(state.seen);
  },
};
document.addEventListener('click', ({target}) => {
  all('.lane-form details[open]').forEach((more) => { if (!more.contains(target)) more.open = false; });
  const row = target.closest('.lane-form');
  if (row && target.closest('summary') && Number(row.dataset.index) !== state.seen) acts.see(Number(row.dataset.index));
  const act = target.closest('.lane-form [data-do]');
  if (act) { acts[act.dataset.do](Number(act.closest('.lane-form').dataset.index)); return; }
  const side = target.closest('.side');
  if (!side || target.closest('.lane-form, button, a, details') || getSelection().toString()) return;
  const index = Number(side.id.slice(-1));
  if (index < state.lanes.length && index !== state.seen) write({seen: index});
});
document.addEventListener('keydown', (event) => {
  const open = event.key === 'Escape' && event.target.closest?.('.lane-form details[open]');
  if (open) { open.open = false; find('summary', open).focus(); }
});
document.addEventListener('input', ({target}) => {
  const row = target.closest('.lane-form'), index = Number(row?.dataset.index);
  if (row && target.matches('.method')) choose(index, target.value);
  else if (row && target.matches('.linked')) rearrange({linked: target.checked});
  else if (row && target.dataset.key === 'budget') edit(index, 'budget', target.value.replace(/\s/g, '').replaceAll(',', '.'));
  else if (row && target.dataset.key) edit(index, target.dataset.key, target.type === 'checkbox' ? String(target.checked) : target.value);
  else if (target.closest('#budget')) {
    const chosen = target.closest('#kind');
    const kind = chosen ? target.value : target.closest('#rate') ? 'rate' : 'count';
    const from = chosen ? find(`#${kind} input`) : target;
    edit(simple(), 'budget', kind === 'rate' ? `${from.value}%` : from.value);
  }
});
document.addEventListener('change', ({target}) => {  // a box that is left takes the nearest end
  if (!target.matches('#rate input[type=number]') || target.value === '') return;
  const fitted = String(Math.max(1, Math.min(100, Number(target.value))));
  if (fitted === target.value) return;
  target.value = fitted;
  edit(simple(), 'budget', `${fitted}%`);
});
window.hiredPanes = (text) => { if (!written.includes(text)) show(text); };  // what was written here is shown

const learn = () => {
  const told = find('#methods [data-methods]');
  if (!told) return;
  const found = JSON.parse(told.dataset.methods);
  if (JSON.stringify(found.methods) !== JSON.stringify(methods)) all('.lane-form').forEach((row) => row.replaceChildren());
  ({methods, most} = found);
  show(find('#panes-text textarea, #panes-text input')?.value);
};
watch('value', () => requestAnimationFrame(learn));
learn();
