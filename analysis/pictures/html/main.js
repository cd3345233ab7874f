// The page: what is shown, and what the reader's hands do about it.

const page = JSON.parse(document.getElementById('data').textContent);
const schedules = page.schedules.map(unpack);
const longest = Math.max(1, ...schedules.map((schedule) => schedule.step));
// What all plots have in common: their time, and the height of their strips of live activations.
const view = {from: 0, to: longest, mostLive: 1};
for (const each of schedules) view.mostLive = Math.max(view.mostLive, each.mostLive);
const plots = [];
const state = {showsPath: false, paints: null, frame: 0, marked: null};
const byId = (id) => document.getElementById(id);
const LEAST_RANGE = 20;  // nanoseconds across a plot

/// Shows from … to, within the longest step.
function show(from, to) {
  const range = Math.min(Math.max(to - from, Math.min(LEAST_RANGE, longest)), longest);
  view.from = Math.min(Math.max(from, 0), longest - range);
  view.to = view.from + range;
  byId('range').textContent = timeWords(Math.round(view.from), longest) + ' to ' +
    timeWords(Math.round(view.to), longest) + ' of ' + timeWords(longest, longest);
  byId('tip').hidden = true;  // what it tells of has moved
  redraw();
}

function zoom(factor, around) {
  const at = around ?? (view.from + view.to) / 2;
  const range = Math.max((view.to - view.from) * factor, LEAST_RANGE);
  const share = (at - view.from) / (view.to - view.from);
  show(at - share * range, at - share * range + range);
}

const pan = (share) => {
  const by = (view.to - view.from) * share;
  show(view.from + by, view.to + by);
};

function redraw() {
  if (!state.frame) state.frame = requestAnimationFrame(() => {
    state.frame = 0;
    plots.forEach(drawPlot);
  });
}

function fit(canvas, scale, ratio) {
  const [width, height] = [Math.round(scale.width * ratio), Math.round(scale.height * ratio)];
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
    canvas.style.height = scale.height + 'px';
  }
  const pen = canvas.getContext('2d');
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  return pen;
}

function drawPlot(plot) {
  const width = plot.box.clientWidth;
  plot.scale = makeScale(plot.schedule, width, view);
  const {left, right, row, box} = plot.scale;
  plot.box.dataset.layout = [left, right, AXIS, row, box].join(' ');  // for tests
  // Browsers refuse canvases of more pixels than this.
  const ratio = Math.min(devicePixelRatio || 1, 16000 / Math.max(plot.scale.height, width));
  if (!state.paints || state.paints.ratio !== ratio)
    state.paints = {...makePaints(page, ratio), ratio};
  drawSchedule(fit(plot.base, plot.scale, ratio), plot.schedule, plot.scale, view, state.paints,
    state.showsPath);
  drawMarkOf(plot, ratio);
}

function drawMarkOf(plot, ratio) {
  const item = state.marked?.plot === plot ? state.marked.item : null;
  drawMark(fit(plot.mark, plot.scale, ratio ?? state.paints.ratio), plot.schedule, item, plot.scale,
    state.paints);
}

/// Marks an item, or none, and tells of it at (x, y) of the window.
function mark(plot, item, x, y) {
  const before = state.marked;
  const tip = byId('tip');
  if (before?.plot === plot && sameItem(before.item, item) && !tip.hidden) return placeTip(x, y);
  state.marked = item ? {plot, item} : null;
  for (const each of new Set([before?.plot, plot])) if (each?.scale) drawMarkOf(each);
  tip.hidden = !item;
  if (!item) return;
  const lines = itemWords(plot.schedule, item, page.causes);
  tip.replaceChildren(...lines.map((words, i) =>
    element('p', words, i > 1 ? {class: 'more'} : {})));
  placeTip(x, y);
}

const sameItem = (a, b) => a && b && a.rank === b.rank && a.action === b.action && a.bubble === b.bubble;

function placeTip(x, y) {
  const tip = byId('tip');
  const [width, height] = [tip.offsetWidth, tip.offsetHeight];
  const below = y + 18 + height < innerHeight;
  tip.style.left = Math.max(8, Math.min(x + 14, innerWidth - width - 8)) + 'px';
  tip.style.top = Math.max(8, below ? y + 18 : y - height - 12) + 'px';
}

/// Marks an item that the keyboard came to, brings it into sight and says what it is.
function go(plot, item) {
  if (!item) return;
  const [start, end] = spanOf(plot.schedule, item);
  const range = view.to - view.from;
  if (start < view.from || end > view.to) {
    const middle = (start + end) / 2;
    show(middle - range / 2, middle + range / 2);
    plot.scale = makeScale(plot.schedule, plot.box.clientWidth, view);
  }
  const box = plot.box.getBoundingClientRect();
  const y = plot.scale.y(item.rank);
  if (box.top + y < 80 || box.top + y + plot.scale.row > innerHeight)
    scrollBy(0, box.top + y - innerHeight / 2);
  const seen = Math.max(plot.scale.left, plot.scale.x(start));
  const top = plot.box.getBoundingClientRect().top;
  mark(plot, item, box.left + seen, top + y + plot.scale.box - 8);
  byId('spoken').textContent = itemWords(plot.schedule, item, page.causes).join('. ');
}

/// The item that keys start from; null where none is marked.
function current(plot) {
  if (state.marked?.plot === plot) return state.marked.item;
  return null;
}

function walk(plot, by) {
  const item = current(plot);
  go(plot, item ? neighbour(plot.schedule, item, by) : itemAt(plot.schedule, 0, view.from));
}

function changeRank(plot, by) {
  const item = current(plot);
  if (!item) return walk(plot, 0);
  const [start, end] = spanOf(plot.schedule, item);
  const rank = item.rank + by;
  if (rank >= 0 && rank < plot.schedule.ranks)
    go(plot, itemAt(plot.schedule, rank, Math.min((start + end) / 2, plot.schedule.step - 1)));
}

function follow(plot) {
  const item = current(plot);
  const blockers = item ? blockersOf(plot.schedule, item) : [];
  if (!blockers.length) return;
  const action = homeOf(plot.schedule, blockers[0]);
  go(plot, {action, rank: plot.schedule.rankOf[action]});
}

function toggle(name, change) {
  const button = byId(name);
  const on = button.getAttribute('aria-pressed') !== 'true';
  button.setAttribute('aria-pressed', on);
  change(on);
}
const togglePath = () => toggle('path', (on) => { state.showsPath = on; redraw(); });
const toggleColumns = () => toggle('columns', (on) => {
  byId('schedules').classList.toggle('columns', on);
  redraw();
});
const toggleTable = () => toggle('table', (on) => {
  const place = byId('tables');
  if (on && !place.firstChild) showTables(place, schedules, page.causes);
  place.hidden = !on;
  if (on) place.scrollIntoView({block: 'nearest'});
});

const KEYS = {
  '+': () => zoom(0.5), '=': () => zoom(0.5), '-': () => zoom(2), '_': () => zoom(2),
  '0': () => show(0, longest), 'Home': () => show(0, longest),
  'c': togglePath, 't': toggleTable,
  's': () => { if (schedules.length > 1) toggleColumns(); },
};
const PLOT_KEYS = {
  'ArrowLeft': (plot, shift) => (shift ? walk(plot, -1) : pan(-0.2)),
  'ArrowRight': (plot, shift) => (shift ? walk(plot, 1) : pan(0.2)),
  'ArrowUp': (plot) => changeRank(plot, -1),
  'ArrowDown': (plot) => changeRank(plot, 1),
  'Enter': follow,
  'Escape': (plot) => mark(plot, null),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === 'SELECT') return;
  const plot = plots.find((each) => each.box === event.target);
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const act = plot && PLOT_KEYS[key];
  if (act) act(plot, event.shiftKey);
  else if (KEYS[key]) KEYS[key]();
  else return;
  event.preventDefault();
}

/// The item of a plot under a pointer; null where there is none.
function itemUnder(plot, event) {
  const box = plot.box.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  const {scale, schedule} = plot;
  const rank = scale.rank(y);
  if (x < scale.left || x > scale.right || rank < 0 || rank >= schedule.ranks) return null;
  return itemAt(schedule, rank, scale.time(x));
}

function addPointers(plot) {
  const fingers = new Map();
  const spread = () => {
    const [a, b] = [...fingers.values()];
    return Math.max(20, Math.hypot(a.x - b.x, a.y - b.y));
  };
  plot.box.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    fingers.set(event.pointerId, {x: event.clientX, y: event.clientY});
    plot.box.setPointerCapture(event.pointerId);
    plot.box.classList.add('moving');
  });
  plot.box.addEventListener('pointermove', (event) => {
    const finger = fingers.get(event.pointerId);
    if (!finger) return mark(plot, itemUnder(plot, event), event.clientX, event.clientY);
    const before = fingers.size === 2 ? spread() : 0;
    const [x, y] = [event.clientX - finger.x, event.clientY - finger.y];
    Object.assign(finger, {x: event.clientX, y: event.clientY});
    const left = plot.box.getBoundingClientRect().left;
    if (before) return zoom(before / spread(), plot.scale.time(event.clientX - left));
    const by = plot.scale.time(0) - plot.scale.time(x);
    show(view.from + by, view.to + by);
    if (y) scrollBy(0, -y);
    plot.scale = makeScale(plot.schedule, plot.box.clientWidth, view);
    mark(plot, null);
  });
  for (const end of ['pointerup', 'pointercancel'])
    plot.box.addEventListener(end, (event) => {
      fingers.delete(event.pointerId);
      plot.box.classList.toggle('moving', fingers.size > 0);
    });
  plot.box.addEventListener('pointerleave', () => { if (!fingers.size) mark(plot, null); });
  plot.box.addEventListener('wheel', (event) => {
    event.preventDefault();
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    const upright = event.shiftKey ? 0 : event.deltaY;
    const left = plot.box.getBoundingClientRect().left;
    if (Math.abs(sideways) > Math.abs(upright)) pan(sideways / 1000);
    else
      zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 300))),
        plot.scale.time(event.clientX - left));
    plot.scale = makeScale(plot.schedule, plot.box.clientWidth, view);
    mark(plot, itemUnder(plot, event), event.clientX, event.clientY);
  }, {passive: false});
}

function addPlot(schedule) {
  const section = element('section');
  section.append(element('h2', schedule.name));
  const figures = element('p', schedule.setting, {class: 'figures'});
  for (const [words, value] of schedule.figures) {
    figures.append(' · ' + words + ' ');
    figures.append(element('b', value));
  }
  const box = element('div', undefined, {class: 'plot', tabindex: '0', role: 'application',
    'aria-label': schedule.name + ': ' + schedule.setting + '. Press T for the same as tables.',
    'aria-describedby': 'help'});
  const plot = {schedule, box, base: element('canvas'), mark: element('canvas'), scale: null};
  box.append(plot.base, plot.mark);
  section.append(figures, box);
  byId('schedules').append(section);
  plots.push(plot);
  addPointers(plot);
  new ResizeObserver(redraw).observe(box);
}

/// A swatch drawn by `draw(pen)`, 22 by 14, with its words.
function addLegend(words, draw) {
  const item = element('li');
  if (draw) {
    const canvas = element('canvas', undefined, {width: 44, height: 28, 'aria-hidden': 'true'});
    const pen = canvas.getContext('2d');
    pen.scale(2, 2);
    draw(pen);
    item.append(canvas);
  }
  item.append(words);
  byId('legend').append(item);
}

function fillLegend() {
  byId('legend').replaceChildren();
  const paints = makePaints(page, 2);
  const looks = new Set();
  for (const each of schedules)
    for (const ops of [each.op, each.pairs.op]) for (const op of ops) looks.add(lookOf(each, op));
  page.kinds.forEach((kind, i) => {
    const own = [0, 1].map((shade) => i * SHADES + shade).filter((look) => looks.has(look));
    if (own.length) addLegend(LETTERS[i] + ': ' + kind.words, (pen) => own.forEach((look, part) => {
      pen.fillStyle = paints.fill[look];
      pen.fillRect(part * 22 / own.length, 0, 22 / own.length, 14);
    }));
  });
  const shades = new Set(schedules.map((each) => each.shades).filter((words) => words));
  if (shades.size) addLegend([...shades].join('; '));
  if (schedules.some((each) => each.pairs.op.length))
    addLegend('framed: overlapped forward and backward');
  page.causes.forEach((cause, i) => {
    if (schedules.some((each) => each.cause.includes(i)))
      addLegend('idle: ' + cause.words, (pen) => {
        pen.fillStyle = paints.hatch[i];
        pen.fillRect(0, 0, 22, 14);
      });
  });
  addLegend('live activations', (pen) => {
    pen.fillStyle = paints.memory;
    pen.fillRect(0, 4, 22, 10);
    pen.fillStyle = paints['memory-line'];
    pen.fillRect(0, 4, 22, 1);
  });
}

function begin() {
  byId('title').textContent = schedules.length > 4 ? schedules.length + ' schedules' :
    schedules.map((schedule) => schedule.name).join(', ');
  document.title = byId('title').textContent + ' – Bubblescope';
  schedules.forEach(addPlot);
  fillLegend();
  byId('columns').hidden = byId('help-columns').hidden = schedules.length < 2;
  for (const [id, act] of Object.entries({'zoom-in': () => zoom(0.5), 'zoom-out': () => zoom(2),
    'show-all': () => show(0, longest), 'path': togglePath, 'columns': toggleColumns,
    'table': toggleTable}))
    byId(id).addEventListener('click', act);
  document.addEventListener('keydown', onKey);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    state.paints = null;
    fillLegend();
    redraw();
  });
  show(0, longest);
}

begin();
