// The page's own behaviour in the browser, run once when it opens. Gradio draws all else.
() => {
  const root = document.documentElement;
  const one = (selector, from = document) => from.querySelector(selector);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  root.lang = 'en';

  // The form as it was before this page, if it is a reload: see form_memory.py.
  window.hiredAgain = performance.getEntriesByType('navigation')[0]?.type === 'reload';
  window.hiredKept = JSON.parse(sessionStorage.getItem('hired-form') ?? 'null');
  if (window.hiredKept) window.hiredKept.ran = sessionStorage.getItem('hired-running') === '1';
  sessionStorage.removeItem('hired-running');

  // Tabs that do not fit the screen are in a menu, whose buttons work closed too.
  const openTab = (name) => {
    const buttons = all('#tabs [role=tab], #tabs .overflow-dropdown button');
    buttons.find((button) => button.textContent.trim() === name)?.click();
    window.scrollTo({top: 0});
  };
  document.addEventListener('click', (event) => {
    if (event.target.closest('.to-benchmarks')) openTab('Benchmarks');
    if (event.target.closest('.run-again')) one('#run')?.click();
  });

  // A file of which the browser knows no type goes to the server all the same, which names the
  // formats it reads. Gradio says "image/*" of it and keeps the picture before.
  const named = (files) => {
    const data = new DataTransfer();
    [...files].forEach((file) => data.items.add(
      file.type.startsWith('image/') ? file : new File([file], file.name, {type: 'image/unknown'})
    ));
    return data;
  };
  document.addEventListener('click', ({target}) => {  // the same file can be chosen once more
    if (target.matches?.('input[type=file]')) target.value = '';
  }, true);
  document.addEventListener('click', async ({target}) => {  // else a click that finds none says nothing
    if (!target.closest('#image button')?.textContent.includes('Paste from Clipboard')) return;
    const items = await navigator.clipboard.read().catch(() => []);
    if (items.some((item) => item.types.some((type) => type.startsWith('image/')))) return;
    const told = Object.assign(document.createElement('p'), {className: 'fault', role: 'alert'});
    told.textContent = 'The clipboard holds no image that this page may read. Copy one, or upload a file.';
    one('#note .prose')?.replaceChildren(told);
  });
  const strange = (files) => [...(files ?? [])].some((file) => !file.type.startsWith('image/'));
  document.addEventListener('change', ({target}) => {
    if (target.matches('#image input[type=file]') && strange(target.files)) {
      target.files = named(target.files).files;
    }
  }, true);
  document.addEventListener('drop', (event) => {
    if (!event.target.closest?.('#image') || !strange(event.dataTransfer?.files)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const dataTransfer = named(event.dataTransfer.files);
    event.target.dispatchEvent(
      new DragEvent('drop', {dataTransfer, bubbles: true, cancelable: true})
    );
  }, true);

  // Arrow keys move along a row of buttons that is one stop of the Tab key.
  const rows = {'[role=tab]': '[role=tablist]', '.spot': '.picture', '.examples button': '.examples'};
  const steps = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1};
  document.addEventListener('keydown', (event) => {
    const kind = Object.keys(rows).find((selector) => event.target.matches?.(selector));
    if (!kind || !(event.key in steps || event.key === 'Home' || event.key === 'End')) return;
    const row = all(kind, event.target.closest(rows[kind]));
    const at = row.indexOf(event.target) + (steps[event.key] ?? 0);
    const next = {Home: row[0], End: row.at(-1)}[event.key] ?? row.at(at % row.length);
    event.preventDefault();
    row.forEach((button) => { button.tabIndex = button === next ? 0 : -1; });
    next.focus();
    if (kind === '[role=tab]') next.click();
  });
  const oneStop = () => all('#tabs [role=tab]').forEach((tab) => {
    tab.tabIndex = tab.getAttribute('aria-selected') === 'true' ? 0 : -1;
  });
  let choices = 0, later = 0;
  const fewStops = () => {
    later = 0;
    all('.examples').forEach((row) => {
      const chips = all('button', row);
      const here = chips.find((chip) => chip.matches('[tabindex="0"]')) ?? chips[0];
      chips.forEach((chip) => { chip.tabIndex = chip === here ? 0 : -1; });
    });
    // Radios of one name are one stop; Gradio names each one apart.
    all('.gradio-container fieldset').forEach((set) => {
      set.dataset.choice ??= `choice-${choices += 1}`;
      all('input[type=radio]', set).forEach((radio) => { radio.name = set.dataset.choice; });
    });
  };

  // A screen reader hears what is new of each side, once; Gradio's own region repeats all of it.
  const said = Object.assign(document.createElement('div'), {id: 'said', className: 'hidden'});
  said.setAttribute('role', 'status');
  said.setAttribute('aria-live', 'polite');
  document.body.append(said);
  const heard = {};
  const announce = () => {
    const news = all('#live [data-lane]').filter((line) => {
      const changed = heard[line.dataset.lane] !== line.textContent;
      heard[line.dataset.lane] = line.textContent;
      return changed && line.textContent;
    });
    if (news.length) said.textContent = news.map((line) => line.textContent).join(' ');
  };

  // What Gradio draws without what a keyboard or a screen reader needs.
  const tidy = () => {
    oneStop();
    const shown = Number(document.body.dataset.panes);
    const anew = all('.lane-form:empty').some((row) => Number(row.dataset.index) < shown);
    if (anew) window.hiredPanes?.();  // Gradio made a pane anew
    later ||= setTimeout(fewStops, 250);  // not in every frame of a run
    one('#live')?.setAttribute('aria-hidden', 'true');
    all('#panes .answer').forEach((box) => {
      const more = !box.matches(':hover, :focus') && box.scrollHeight > box.clientHeight + 2;
      if (more && !box.matches('.more')) {  // an answer that is new there: where it differs first
        box.scrollTop = (one('mark', box)?.offsetTop ?? 4) - 4;
        box.classList.add('more');
      }
    });
    all('footer img:not([alt=""])').forEach((image) => image.setAttribute('alt', ''));
    all('.table-wrap:not([tabindex]), .prose table:not([tabindex])').forEach((table) => {
      if (table.scrollWidth <= table.clientWidth) return;
      table.tabIndex = 0;
      table.setAttribute('aria-label', 'Table; scroll it with the arrow keys');
    });
  };
  let due = 0;
  new MutationObserver(() => {
    announce();  // at once: a phase may be over before the next frame
    due ||= requestAnimationFrame(() => { due = 0; tidy(); fit(); });
  }).observe(one('.gradio-container') ?? document.body, {childList: true, subtree: true, characterData: true});
  tidy();

  // The stage view: what an audience looks at, as large as the screen allows.
  const fit = () => {
    const on = document.body.classList.contains('stage');
    if (!on) return;
    let zoom = innerWidth / 1240;
    for (let round = 0; round < 4; round += 1) {  // a larger zoom wraps more lines
      root.style.setProperty('--stage', zoom);
      const page = one('#compare').getBoundingClientRect();
      zoom = Math.max(1, Math.min(zoom, zoom * (innerHeight - page.top - 12) / page.height));
    }
    root.style.setProperty('--stage', zoom);
  };
  const stage = (on) => {
    document.body.classList.toggle('stage', on);
    if (on) openTab('Compare');
    all('.to-stage').forEach((button) => button.setAttribute('aria-pressed', on));
    requestAnimationFrame(fit);
  };
  document.addEventListener('click', (event) => {
    if (event.target.closest('.to-stage')) stage(!document.body.classList.contains('stage'));
  });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && document.body.classList.contains('stage')) stage(false);
  });
  window.addEventListener('resize', fit);
  if (new URLSearchParams(location.search).get('stage') === '1') stage(true);
}
