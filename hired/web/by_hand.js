// Patches picked by hand: the picture of a pane whose method is "by hand" is an editor. It draws a
// change at once and then writes the pane's text. Shares its scope with lanes.js, which follows.
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const byHand = {figure: null, data: null, kept: null, order: null, text: null, touched: new Set(), undo: [], at: 0, budget: 0};

// A text as in hired/selectors/by_hand.py: ROWSxCOLSxSIDE, then the bits of each tile after a dot.
const writeTile = (bits) => {
  const last = bits.lastIndexOf(1) + 1, values = Array(Math.ceil(last / 6)).fill(0);
  for (let i = 0; i < last; i += 1) values[Math.floor(i / 6)] |= bits[i] << (5 - (i % 6));
  return values.map((value) => LETTERS[value]).join('').replace(/(.)\1{4,}/g, (run, one) => `${one}~${run.length}~`);
};
const writePatches = ({cut}, kept) => {
  const many = cut[2] ** 2, tiles = Array.from({length: kept.length / many}, (_, tile) => kept.slice(tile * many, (tile + 1) * many));
  return [cut.join('x'), ...tiles.map(writeTile)].join('.');
};
const readPatches = ({cut, boxes}, text) => {  // null of another cut
  const [head, ...tiles] = text.split('.'), many = cut[2] ** 2;
  if (!text) return new Uint8Array(boxes.length * many).map((_, patch) => Number(open(patch)));  // untouched
  if (head !== cut.join('x') || tiles.length !== boxes.length) return null;
  const kept = new Uint8Array(boxes.length * many);
  tiles.forEach((tile, index) => {
    const letters = tile.replace(/(.)~(\d+)~/g, (_, one, count) => one.repeat(Number(count)));
    for (let i = 0; i < Math.min(many, letters.length * 6); i += 1) {
      kept[index * many + i] = (LETTERS.indexOf(letters[Math.floor(i / 6)]) >> (5 - (i % 6))) & 1;
    }
  });
  return kept;
};

// Geometry, in pixels of the picture. A patch is its number among all tiles' patches.
const edges = (cell, edge, side) => Math.ceil((cell * edge) / side);
const place = (patch) => {
  const {cut: [, , side], boxes} = byHand.data, tile = Math.floor(patch / side ** 2);
  const row = Math.floor((patch % side ** 2) / side), col = patch % side, [left, top, edge] = boxes[tile];
  const x = left + edges(col, edge, side), y = top + edges(row, edge, side);
  return {tile, row, col, x, y, wide: left + edges(col + 1, edge, side) - x, high: top + edges(row + 1, edge, side) - y};
};
const open = (patch) => {  // does it show some of the image?
  const {tile, row, col} = place(patch), [top, bottom, left, right] = byHand.data.windows[tile];
  return row >= top && row < bottom && col >= left && col < right;
};
const patchAt = (x, y) => {
  const {cut: [, , side], boxes} = byHand.data;
  const tile = boxes.findIndex(([left, top, wide, high]) => x >= left && x < left + wide && y >= top && y < top + high);
  if (tile < 0) return null;
  const [left, top, edge] = boxes[tile], cell = (way) => Math.floor((way * side) / edge);
  const patch = tile * side ** 2 + cell(y - top) * side + cell(x - left);
  return open(patch) ? patch : null;
};
const patchesOf = (tile) => {
  const many = byHand.data.cut[2] ** 2;
  return Array.from({length: many}, (_, index) => tile * many + index).filter(open);
};
const neighbour = (patch, right, down) => {  // the next one that way, in another tile too
  const from = place(patch), canvas = find('canvas', byHand.figure);
  let [x, y] = [from.x + from.wide / 2, from.y + from.high / 2];
  while (x >= 0 && y >= 0 && x < canvas.width && y < canvas.height) {
    [x, y] = [x + (right * from.wide) / 2, y + (down * from.high) / 2];
    const found = patchAt(x, y);
    if (found !== null && found !== patch) return found;
  }
  return patch;
};

const drawPatches = () => {
  const {figure, kept, data} = byHand, canvas = find('canvas', figure), plain = find('.plain', figure);
  if (!plain.complete) { plain.onload = drawPatches; return; }
  const pen = canvas.getContext('2d'), [, , side] = data.cut;
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = '#f8fafc';
  kept.forEach((one, patch) => {
    if (!one) return;
    const {tile, row, col, x, y, wide, high} = place(patch);
    const alone = (down, right) => row + down < 0 || col + right < 0 || row + down >= side || col + right >= side || !kept[tile * side ** 2 + (row + down) * side + col + right];
    pen.drawImage(plain, x, y, wide, high, x, y, wide, high);
    if (alone(-1, 0)) pen.fillRect(x, y, wide, 1);
    if (alone(1, 0)) pen.fillRect(x, y + high - 1, wide, 1);
    if (alone(0, -1)) pen.fillRect(x, y, 1, high);
    if (alone(0, 1)) pen.fillRect(x + wide - 1, y, 1, high);
  });
  const cursor = place(byHand.at), percent = (part, whole) => `${(100 * part) / whole}%`;
  Object.assign(find('.cursor', figure).style, {
    left: percent(cursor.x, canvas.width), top: percent(cursor.y, canvas.height),
    width: percent(cursor.wide, canvas.width), height: percent(cursor.high, canvas.height),
  });
  all('[data-tile]', figure).forEach((button) => {
    const patches = patchesOf(Number(button.dataset.tile)), many = patches.filter((patch) => kept[patch]).length;
    find('b', button).textContent = `${many}/${patches.length}`;
    button.setAttribute('aria-pressed', many === 0 ? 'false' : many === patches.length ? 'true' : 'mixed');
  });
  find('.undo', figure).disabled = !byHand.undo.length;
  find('.tie input', figure).checked = Boolean(state.tied);
};
const countKept = () => byHand.kept.reduce((sum, one) => sum + one, 0);
const tellCount = (more = '') => {
  const kept = countKept(), tied = state.tied ? `, tied to ${byHand.budget}` : '';
  find('.count b', byHand.figure).textContent = `${kept} of ${byHand.kept.length} patches kept${tied}.`;
  find('.count span', byHand.figure).textContent = more;
};
const tellPatch = () => {
  const {tile, row, col} = place(byHand.at);
  tellCount(`${byHand.data.names[tile]}, row ${row + 1}, column ${col + 1}: ${byHand.kept[byHand.at] ? 'kept' : 'dropped'}.`);
};
const turn = (patches, value) => {
  patches.forEach((patch) => { byHand.kept[patch] = value; byHand.touched.add(patch); });
  drawPatches();
  tellCount();
};
const balance = () => {  // as many as the budget says; what was picked by hand stays as it is
  const free = (value) => (patch) => open(patch) && byHand.kept[patch] === value && !byHand.touched.has(patch);
  const strong = [...byHand.order], more = byHand.budget - countKept();
  const moved = more < 0 ? strong.reverse().filter(free(1)) : strong.filter(free(0));
  moved.slice(0, Math.abs(more)).forEach((patch) => { byHand.kept[patch] = more < 0 ? 0 : 1; });
};
const commit = (say = tellCount) => {  // one request for a stroke, a key, a tile
  if (state.tied) balance();
  const before = byHand.text, refused = !countKept();
  if (refused) byHand.kept = readPatches(byHand.data, before);
  const text = writePatches(byHand.data, byHand.kept);
  if (text !== before) { byHand.undo.push(before); byHand.text = text; }
  drawPatches();
  if (refused) tellCount('Keep at least one patch.'); else say();
  if (text !== before) edit(state.seen, 'patches', text);
};
const restart = (text, say) => {  // from what a method keeps, or one step back
  byHand.kept = readPatches(byHand.data, text);
  byHand.touched = new Set();
  byHand.budget = countKept();
  byHand.text = text;
  drawPatches();
  tellCount(say);
  edit(state.seen, 'patches', text);
};

// What lanes.js calls: after every change of the panes, and when a pane becomes one by hand.
const showByHand = () => {
  const figure = find('#seen .by-hand'), lane = lanes()[state.seen];
  if (!figure || lane?.name !== 'hand') return;
  if (figure !== byHand.figure) {
    const data = JSON.parse(figure.dataset.hand), bytes = Uint8Array.from(atob(data.order), (one) => one.charCodeAt(0));
    Object.assign(byHand, {figure, data, order: new Uint32Array(bytes.buffer), text: null});
    if (byHand.at >= data.boxes.length * data.cut[2] ** 2) byHand.at = 0;
  }
  const text = valueOf(lane, 'patches');
  if (!text && state.start) {
    if (byHand.data.start !== state.start) return;  // the picture of another start, still
    restart(byHand.data.starts[0], '');
    return;
  }
  if (text === byHand.text) return;
  const kept = readPatches(byHand.data, text);
  if (!kept) return;  // the server says what is wrong
  Object.assign(byHand, {kept, text, touched: new Set(), undo: []});
  byHand.budget = countKept();
  drawPatches();
  tellCount();
};

let stroke = null;  // {value, last, begun}: patches that a finger or a mouse runs over
const spot = (event) => {
  const canvas = find('canvas', byHand.figure), box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) * canvas.width) / box.width, ((event.clientY - box.top) * canvas.height) / box.height];
};
const run = (to) => {  // every patch on the way from the last place
  const [x, y] = stroke.last, steps = Math.max(1, Math.ceil(Math.hypot(to[0] - x, to[1] - y) / 3));
  const way = Array.from({length: steps + 1}, (_, step) => patchAt(x + ((to[0] - x) * step) / steps, y + ((to[1] - y) * step) / steps));
  const passed = [...new Set(way)].filter((patch) => patch !== null);
  stroke.last = to;
  if (passed.length) byHand.at = passed.at(-1);
  if (passed.some((patch) => byHand.kept[patch] !== stroke.value)) turn(passed, stroke.value);
};
document.addEventListener('pointerdown', (event) => {
  const cells = event.target.closest?.('.by-hand .cells');
  if (!cells || event.button !== 0 || !event.isPrimary || !byHand.kept) return;
  const from = spot(event), patch = patchAt(...from);
  if (patch === null) return;
  stroke = {value: byHand.kept[patch] ? 0 : 1, last: from, patch};
  cells.setPointerCapture(event.pointerId);
  if (event.pointerType !== 'touch') run(from);  // a finger may be about to scroll
});
document.addEventListener('pointermove', (event) => {
  if (!stroke || !event.isPrimary) return;
  const to = spot(event);
  if (event.pointerType !== 'touch' || patchAt(...to) !== stroke.patch) run(to);
});
document.addEventListener('pointerup', (event) => {
  if (!stroke || !event.isPrimary) return;
  run(spot(event));
  stroke = null;
  commit(tellPatch);
});
document.addEventListener('pointercancel', () => {  // the page scrolls: nothing was meant
  if (!stroke) return;
  stroke = null;
  byHand.kept = readPatches(byHand.data, byHand.text);
  drawPatches();
});
const arrows = {ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1]};
document.addEventListener('keydown', (event) => {
  if (!event.target.matches?.('.by-hand .cells') || !byHand.kept || event.altKey || event.metaKey) return;
  const {at, kept} = byHand, step = arrows[event.key], undo = event.ctrlKey && event.key === 'z';
  if (!(step || event.key === ' ' || undo) || (event.ctrlKey && !undo)) return;
  event.preventDefault();
  if (undo) { find('.undo', byHand.figure).click(); return; }
  if (step) byHand.at = neighbour(at, ...step);
  if (!step || event.shiftKey) { turn([byHand.at], step ? kept[at] : 1 - kept[at]); commit(tellPatch); return; }
  drawPatches();
  tellPatch();
});
document.addEventListener('click', ({target}) => {
  if (target.closest('#seen .again')) {
    const fresh = lanes().map((lane) => (lane.name === 'hand' ? {...lane, given: {...lane.given, patches: ''}} : lane));
    write({lanes: fresh.map(join), start: state.start ?? 'hired'});
  }
  const button = target.closest('.by-hand button');
  if (!button || !byHand.kept) return;
  if (button.dataset.start) { byHand.undo.push(byHand.text); restart(byHand.data.starts[Number(button.dataset.start)], ''); }
  if (button.matches('.undo') && byHand.undo.length) restart(byHand.undo.pop(), 'Undone.');
  if (button.dataset.tile) {
    const patches = patchesOf(Number(button.dataset.tile));
    turn(patches, patches.every((patch) => byHand.kept[patch]) ? 0 : 1);
    commit();
  }
});
document.addEventListener('change', ({target}) => {
  if (!target.matches('.by-hand .tie input')) return;
  byHand.budget = countKept();
  write({tied: target.checked});
  tellCount();
});
new MutationObserver(() => { if (methods) showByHand(); }).observe(document.body, {childList: true, subtree: true});
