// A plot of lines from the plain data of chart.py. A line that is pointed at, in any plot or in a
// legend, stands out in all and shows how far its points may be off; a legend switches lines in all.
// Bars look as those of the panes do.
const SVG = 'http://www.w3.org/2000/svg';
const HEIGHT = 340, EDGE = {left: 62, right: 16, top: 12, bottom: 44}, REACH = 48;
const MARKS = [
  'M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0', 'M-3.5-3.5h7v7h-7z', 'M0-5l5 5l-5 5l-5-5z', 'M0-5l5 9h-10z',
  'M0 5l5-9h-10z', 'M-4-2h2v-2h4v2h2v4h-2v2h-4v-2h-2z', 'M-5 0l3-4h4l3 4l-3 4h-4z',
];
let data, pointed, off = new Set();  // names switched off stay so when the data change

const make = (tag, attributes, parent, text) => {
  const node = document.createElementNS(SVG, tag);
  Object.entries(attributes).forEach(([name, value]) => node.setAttribute(name, value));
  if (text !== undefined) node.textContent = text;
  parent?.append(node);
  return node;
};
const html = (tag, attributes, parent, text) => {
  const node = Object.assign(document.createElement(tag), attributes);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
};
const colour = (line) => line.style === 'line'
  ? `hsl(${(77.5 + line.place * 137.5) % 360} 70% var(--chart-light))` : 'var(--soft)';
const mark = (line, x, y, parent) => make(
  'path', {class: 'mark', d: MARKS[line.place % MARKS.length], transform: `translate(${x} ${y})`}, parent,
);

// Round numbers between two, about `count` of them.
const steps = (low, high, count) => {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const first = Math.ceil(low / step);
  return Array.from({length: Math.floor(high / step) - first + 1}, (_, i) => (first + i) * step);
};
const decades = (low, high) => [1, 10, 100, 1e3, 1e4, 1e5].flatMap(
  (power) => [1, 2, 5].map((factor) => factor * power),
).filter((value) => value >= low && value <= high);

const scales = (shown, width) => {
  const points = (lines, name) => lines.flatMap((line) => line.points.map((point) => point[name]));
  const along = (value) => data.log ? Math.log(value) : value;
  const xs = points(data.lines, 'x'), ys = points(shown.length ? shown : data.lines, 'y');
  let [left, right] = [Math.min(...xs), Math.max(...xs)];
  if (left === right) [left, right] = [left * 0.9, right * 1.1];
  let [low, high] = [data.zero ? 0 : Math.min(...ys), Math.max(...ys)];
  const spare = (high - low || Math.abs(high) || 1) * 0.06;
  [low, high] = [data.zero ? 0 : low - spare, high + spare];
  const inner = {x: width - EDGE.left - EDGE.right, y: HEIGHT - EDGE.top - EDGE.bottom};
  return {
    x: (value) => EDGE.left + inner.x * (along(value) - along(left)) / (along(right) - along(left)),
    y: (value) => EDGE.top + inner.y * (high - value) / (high - low),
    xs: data.log ? decades(left, right) : steps(left, right, width < 500 ? 4 : 8),
    ys: steps(low, high, 6),
  };
};

const drawAxes = (svg, at, width) => {
  const bottom = HEIGHT - EDGE.bottom, said = (value) => value.toLocaleString('en');
  for (const value of at.ys) {
    make('line', {class: 'rule', x1: EDGE.left, x2: width - EDGE.right, y1: at.y(value), y2: at.y(value)}, svg);
    make('text', {x: EDGE.left - 6, y: at.y(value) + 4, 'text-anchor': 'end'}, svg, said(value));
  }
  let edge = 0;
  for (const value of at.xs) {
    const half = said(value).length * 3.6;
    if (at.x(value) - half < edge) continue;
    edge = at.x(value) + half + 6;
    make('text', {x: at.x(value), y: bottom + 16, 'text-anchor': 'middle'}, svg, said(value));
  }
  make('text', {x: width - EDGE.right, y: HEIGHT - 6, 'text-anchor': 'end'}, svg, data.x);
  make('text', {class: 'up', x: -EDGE.top, y: 13, 'text-anchor': 'end', transform: 'rotate(-90)'}, svg, data.y);
};

const drawLine = (svg, at, line, width) => {
  const group = make('g', {class: `line ${line.style}`, 'data-name': line.name}, svg);
  group.style.setProperty('--hue', colour(line));
  const places = line.points.map((point) => [at.x(point.x), at.y(point.y)]);
  const ends = line.style === 'level'
    ? [[EDGE.left, places[0][1]], [width - EDGE.right, places[0][1]]] : places;
  make('polyline', {points: ends.join(' ')}, group);
  if (line.style === 'dashed') return;
  line.points.forEach((point, i) => {
    const [x, y] = places[i];
    if (point.low !== null) {
      make('line', {class: 'spread', x1: x, x2: x, y1: at.y(point.low), y2: at.y(point.high)}, group);
    }
    mark(line, x, y, group).classList.toggle('hollow', point.hollow);
  });
};

const point = (name) => {  // here and in the other plots
  if (name !== pointed) document.dispatchEvent(new CustomEvent('chart-point', {detail: name}));
};
const switchOff = (names) => {
  document.dispatchEvent(new CustomEvent('chart-off', {detail: names}));
};
const fade = () => {
  const known = data?.lines.some((line) => line.name === pointed && !off.has(line.name));
  element.querySelectorAll('[data-name]').forEach((one) => {
    one.classList.toggle('pointed', known && one.dataset.name === pointed);
    one.classList.toggle('faded', known && one.dataset.name !== pointed);
  });
};

const follow = (svg, told, at, shown) => {
  svg.addEventListener('pointermove', (event) => {
    const box = svg.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const far = (one) => Math.hypot(at.x(one.x) - x, at.y(one.y) - y);
    const near = shown.flatMap((line) => line.points.map((one) => ({line, one, far: far(one)})))
      .reduce((best, each) => each.far < best.far ? each : best, {far: REACH});
    point(near.line?.name);
    told.hidden = !near.line;
    if (!near.line) return;
    told.textContent = `${near.line.name}: ${near.one.words}`;
    const place = Math.min(Math.max(at.x(near.one.x) - told.offsetWidth / 2, 0), box.width - told.offsetWidth);
    told.style.transform = `translate(${place}px, ${at.y(near.one.y) - told.offsetHeight - 10}px)`;
  });
  svg.addEventListener('pointerleave', () => { point(undefined); told.hidden = true; });
};

const drawLegend = (figure) => {
  const legend = html('div', {className: 'legend', role: 'group', ariaLabel: 'Lines'}, figure);
  const button = (text, on, click) => {
    const made = html('button', {type: 'button', ariaPressed: on}, legend, text);
    made.addEventListener('click', click);
    return made;
  };
  if (data.lines.length > 3) {
    const some = data.lines.some((line) => off.has(line.name));
    button(some ? 'All' : 'None', null, () => {
      switchOff(some ? [] : data.lines.map((line) => line.name));
    });
  }
  data.lines.forEach((line) => {
    const one = button(line.name, !off.has(line.name), () => {
      switchOff([...off].filter((name) => name !== line.name).concat(off.has(line.name) ? [] : line.name));
      element.querySelector(`button[data-name="${CSS.escape(line.name)}"]`).focus();
    });
    one.dataset.name = line.name;
    const swatch = make('svg', {width: 22, height: 12, 'aria-hidden': true, class: line.style});
    swatch.style.setProperty('--hue', colour(line));
    make('polyline', {points: '0 6 22 6'}, swatch);
    if (line.style !== 'dashed') mark(line, 11, 6, swatch);
    one.prepend(swatch);
    one.addEventListener('pointerenter', () => point(line.name));
    one.addEventListener('pointerleave', () => point(undefined));
    one.addEventListener('focus', () => point(line.name));
    one.addEventListener('blur', () => point(undefined));
  });
};

const drawBars = (figure) => {
  const seconds = (value) => `${value.toPrecision(3)} s`;
  const total = (bar) => Object.values(bar.parts).reduce((sum, part) => sum + part, 0);
  const longest = Math.max(...data.bars.map(total));
  const lanes = html('section', {className: 'timeline'}, figure);
  for (const bar of data.bars) {
    const lane = html('div', {className: 'lane'}, lanes);
    html('b', {title: bar.name}, lane, bar.name);
    const parts = Object.entries(bar.parts).map(([name, part]) => [name, `${name} ${seconds(part)}`, part]);
    const ariaLabel = parts.map(([, words]) => words).join(', ');
    const row = html('span', {className: 'bar', role: 'img', ariaLabel}, lane);
    for (const [className, title, part] of parts) {
      html('i', {className, title}, row).style.width = `${100 * part / longest}%`;
    }
    html('em', {}, lane, seconds(total(bar)));
  }
  const keys = html('p', {className: 'keys', ariaHidden: true}, lanes);
  for (const name of Object.keys(data.bars[0].parts)) {
    const key = html('span', {}, keys);
    html('i', {className: name}, key);
    key.append(name);
  }
};

const redraw = () => {
  const figure = element.querySelector('.chart'), width = figure?.clientWidth;
  if (!data || !width) return;
  figure.replaceChildren();
  html('figcaption', {}, figure, data.title);
  if (data.bars) return void drawBars(figure);
  const shown = data.lines.filter((line) => !off.has(line.name)), at = scales(shown, width);
  const frame = html('div', {className: 'frame'}, figure);
  const svg = make('svg', {width, height: HEIGHT, role: 'img', 'aria-label': data.title}, frame);
  drawAxes(svg, at, width);
  data.lines.forEach((line, index) => {
    if (!off.has(line.name)) drawLine(svg, at, line, width);
  });
  follow(svg, html('p', {className: 'told', hidden: true}, frame), at, shown);
  if (data.legend) drawLegend(figure);
  fade();
};
const read = () => {
  data = props.value ? JSON.parse(props.value) : undefined;
  redraw();
};
document.addEventListener('chart-point', ({detail}) => { pointed = detail; fade(); });
document.addEventListener('chart-off', ({detail}) => { off = new Set(detail); redraw(); });
new ResizeObserver(redraw).observe(element);
watch('value', read);
read();
