// The panel "What did it look at?": draws the map of the word that is pointed at.
const draw = (word) => {
  const box = word.closest('.gaze'), canvas = box.querySelector('canvas');
  const read = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const levels = read(word.dataset.map), kept = box.dataset.kept && read(box.dataset.kept);
  const sinks = box.dataset.sinks && read(box.dataset.sinks);
  const own = !word.querySelector('small'), side = Number(box.dataset.side);
  const pen = canvas.getContext('2d');
  pen.clearRect(0, 0, canvas.width, canvas.height);
  box.dataset.boxes.split(';').forEach((text, tile) => {
    const [left, top, edge] = text.split(',').map(Number), step = edge / side;
    for (let at = 0; at < side * side; at++) {
      const place = tile * side * side + at, level = levels[place] / 255;
      const column = at % side, row = Math.floor(at / side);
      const x = Math.round(left + column * step), y = Math.round(top + row * step);
      const wide = Math.round(left + (column + 1) * step) - x;
      const high = Math.round(top + (row + 1) * step) - y;
      pen.fillStyle = `rgba(10, 12, 30, ${0.82 * (1 - level)})`;
      pen.fillRect(x, y, wide, high);
      if (sinks?.[place]) {
        pen.strokeStyle = 'white';
        pen.beginPath();
        pen.arc(x + wide / 2, y + high / 2, wide / 3, 0, 2 * Math.PI);
        pen.stroke();
      }
      if (level > 0.45) {
        pen.lineWidth = 1;
        pen.strokeStyle = `rgba(250, 204, 21, ${level})`;
        pen.strokeRect(x + 0.5, y + 0.5, wide - 1, high - 1);
        if (kept && !own && !kept[place]) {
          pen.beginPath();
          pen.moveTo(x + 1, y + 1); pen.lineTo(x + wide - 1, y + high - 1);
          pen.moveTo(x + wide - 1, y + 1); pen.lineTo(x + 1, y + high - 1);
          pen.stroke();
        }
      }
    }
  });
  box.querySelector('.told').textContent = word.dataset.say;
};
const choose = (word) => {
  if (!word) return;
  for (const one of element.querySelectorAll('.word')) {
    one.setAttribute('aria-pressed', String(one === word));
  }
  draw(word);
};
const pointed = (event) => choose(event.target.closest?.('.word'));
for (const kind of ['pointerover', 'focusin', 'click']) element.addEventListener(kind, pointed);
element.addEventListener('click', (event) => {
  const button = event.target.closest('.ask-gaze');
  if (!button || button.disabled) return;
  button.disabled = true;
  button.textContent = 'Looking back …';
  trigger('click', {});
});
element.addEventListener('keydown', (event) => {
  const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
  if (!step || !event.target.matches('.word')) return;
  const words = [...event.target.parentElement.querySelectorAll('.word')];
  const next = words[words.indexOf(event.target) + step];
  if (!next) return;
  event.preventDefault();
  words.forEach((one) => { one.tabIndex = one === next ? 0 : -1; });
  next.focus();
});
new MutationObserver(() => {
  const word = element.querySelector('.word[aria-pressed=true]');
  if (word && !element.querySelector('.told').textContent) draw(word);
}).observe(element, {childList: true, subtree: true});
