// The film: fades the patches that the frame under the slider leaves out.
const still = matchMedia('(prefers-reduced-motion: reduce)');
let seen = null, levels = [], film = null;
const paint = () => {
  const figure = element.querySelector('.film');
  if (!figure) return;
  if (figure !== seen) { seen = figure; film = JSON.parse(figure.dataset.film); levels = []; }
  const slider = figure.querySelector('input'), frame = film.frames[Number(slider.value)];
  slider.setAttribute('aria-valuetext', frame.at);
  figure.querySelector('.now').textContent = frame.words;
  figure.querySelectorAll('.ticks li').forEach((tick, index) =>
    tick.classList.toggle('here', index === Number(slider.value)));
  const pen = figure.querySelector('canvas').getContext('2d'), side = film.side;
  const step = () => {
    if (figure !== seen || frame !== film.frames[Number(slider.value)]) return;
    let moving = false;
    pen.clearRect(0, 0, film.size[0], film.size[1]);
    for (let patch = 0; patch < frame.mask.length; patch++) {
      const goal = frame.mask[patch] === '1' ? 0 : 0.86, old = levels[patch] ?? goal;
      const next = still.matches || Math.abs(goal - old) < 0.03 ? goal : old + (goal - old) * 0.25;
      levels[patch] = next;
      moving ||= next !== goal;
      if (!next) continue;
      const [left, top, wide, high] = film.boxes[Math.floor(patch / (side * side))];
      const at = patch % (side * side), w = wide / side, h = high / side;
      pen.fillStyle = `rgba(26, 29, 41, ${next})`;
      pen.fillRect(left + (at % side) * w, top + Math.floor(at / side) * h, w + 0.5, h + 0.5);
    }
    if (moving) requestAnimationFrame(step);
  };
  step();
};
element.addEventListener('input', paint);
watch('value', paint);
paint();
