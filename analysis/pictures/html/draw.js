// Draws one schedule's rows over the time that is shown.

const SHADES = 2;
const AXIS = 22;       // pixels above the rows
const COLUMN = 4;      // pixels of a column where boxes are too narrow to be drawn
const RIGHT = 12;      // pixels right of the step
const SMALL = 8;       // pixels of the smallest number in a box
const FONT = 'system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';

/// Heights by the number of rows, as in the SVG pictures, in pixels.
function rowLayout(ranks) {
  for (const [most, box, memory, gap] of [[4, 34, 14, 12], [8, 28, 11, 9], [16, 22, 8, 7],
    [32, 17, 6, 5], [128, 12, 4, 3], [512, 6, 2, 1]])
    if (ranks <= most) return {box, memory, row: box + memory + gap};
  return {box: 3, memory: 0, row: 4};
}

/// The colours of the style sheet's scheme that is in force, and the hatches in them.
function makePaints(page, ratio) {
  const style = getComputedStyle(document.documentElement);
  const paints = {};
  for (const name of ['paper', 'ink', 'soft', 'guide', 'hatch-paper', 'hatch-ink', 'memory',
    'memory-line', 'accent', 'focus'])
    paints[name] = style.getPropertyValue('--' + name).trim();
  paints.fill = page.kinds.flatMap((kind) => kind.paints.map((paint) => paint.fill));
  paints.pixel = paints.fill.map(pixelOf);
  paints.number = page.kinds.flatMap((kind) => kind.paints.map((paint) => paint.ink));
  paints.hatch = page.causes.map((cause) => hatchPattern(cause, paints, page.tile, ratio));
  return paints;
}

/// "#rrggbb" as the bytes of an ImageData, read as one number.
function pixelOf(colour) {
  const bytes = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return new Uint32Array(new Uint8Array([...bytes, 255]).buffer)[0];
}

function hatchPattern(cause, paints, size, ratio) {
  const tile = document.createElement('canvas');
  const scale = Math.max(1, Math.round(ratio));
  tile.width = tile.height = size * scale;
  const pen = tile.getContext('2d');
  pen.scale(scale, scale);
  pen.fillStyle = paints['hatch-paper'];
  pen.fillRect(0, 0, size, size);
  pen.strokeStyle = paints['hatch-ink'];
  pen.lineWidth = cause.dotted ? 1.8 : 1;
  pen.lineCap = cause.dotted ? 'round' : 'butt';
  pen.stroke(new Path2D(cause.lines));
  const pattern = pen.createPattern(tile, 'repeat');
  pattern.setTransform(new DOMMatrix().scale(1 / scale));
  return pattern;
}

/// Where time and ranks lie in a plot of a width, while `from` … `to` is shown.
function makeScale(schedule, width, view) {
  const layout = rowLayout(schedule.ranks);
  const left = layout.row < 8 ? 34 : 22 + 8 * String(schedule.ranks - 1).length;
  const perPixel = (view.to - view.from) / Math.max(1, width - left - RIGHT);
  return {
    ...layout, left, right: width - RIGHT, width,
    height: AXIS + layout.row * schedule.ranks + 4,
    x: (time) => left + (time - view.from) / perPixel,
    time: (x) => view.from + (x - left) * perPixel,
    y: (rank) => AXIS + rank * layout.row,
    rank: (y) => Math.floor((y - AXIS) / layout.row),
  };
}

function drawSchedule(pen, schedule, scale, view, paints, showsPath) {
  pen.fillStyle = paints.paper;
  pen.fillRect(0, 0, scale.width, scale.height);
  drawAxis(pen, schedule, scale, view, paints);
  pen.save();
  pen.beginPath();
  pen.rect(scale.left, 0, scale.right - scale.left, scale.height);
  pen.clip();
  for (let rank = 0; rank < schedule.ranks; ++rank) {
    const bounds = shownActions(schedule, rank, view);
    drawBubbles(pen, schedule, rank, bounds, scale, paints, showsPath);
    if (isDense(schedule, bounds, scale, view))
      drawDense(pen, schedule, rank, bounds, scale, paints, showsPath);
    else
      drawActions(pen, schedule, rank, bounds, scale, paints, showsPath);
    if (scale.memory) drawMemory(pen, schedule, rank, scale, view, paints);
  }
  if (showsPath) drawPath(pen, schedule, scale, view, paints);
  pen.restore();
}

function drawAxis(pen, schedule, scale, view, paints) {
  pen.font = '11px ' + FONT;
  pen.textBaseline = 'middle';
  const range = view.to - view.from;
  const step = tickStep(range, Math.max(2, (scale.right - scale.left) / 100));
  pen.textAlign = 'center';
  for (let tick = Math.ceil(view.from / step) * step; tick <= view.to; tick += step) {
    const x = Math.round(scale.x(tick)) + 0.5;
    pen.fillStyle = paints.guide;
    pen.fillRect(x - 0.5, AXIS - 4, 1, scale.height - AXIS);
    const words = tickWords(tick, view.to, step);
    const half = pen.measureText(words).width / 2;
    if (x + half > scale.width || x - half < 0) continue;
    pen.fillStyle = paints.soft;
    pen.fillText(words, x, 10);
  }
  pen.textAlign = 'right';
  pen.fillStyle = paints.ink;
  const every = Math.ceil(11 / scale.row);
  for (let rank = 0; rank < schedule.ranks; rank += every)
    pen.fillText(rank, scale.left - 8, scale.y(rank) + scale.box / 2 + 0.5);
  // The end of a step that is shorter than what is shown.
  const end = scale.x(schedule.step);
  if (end > scale.left && end < scale.right - 1) {
    pen.fillStyle = paints.soft;
    pen.fillRect(Math.round(end), AXIS - 4, 1.5, scale.height - AXIS);
  }
}

/// The actions of a rank that `view` shows a part of: from the first up to the second.
function shownActions(schedule, rank, view) {
  const [begin, end] = [schedule.first[rank], schedule.first[rank + 1]];
  const low = firstThat(begin, end, (i) => schedule.end[i] >= view.from);
  return [low, firstThat(low, end, (i) => schedule.start[i] > view.to)];
}

function drawBubbles(pen, schedule, rank, [low, high], scale, paints, isFaint) {
  const y = scale.y(rank);
  pen.globalAlpha = isFaint ? 0.5 : 1;
  let drawn = -1;
  for (let i = schedule.slot[low + rank]; i < schedule.slot[high + rank + 1]; ++i) {
    const x = scale.x(schedule.bubbleStart[i]);
    const end = scale.x(schedule.bubbleStart[i] + schedule.length[i]);
    if (end - x < 0.3 && end - drawn < 0.3) continue;
    pen.fillStyle = end - x < 2 ? paints['hatch-ink'] : paints.hatch[schedule.cause[i]];
    pen.fillRect(x, y, end - x, scale.box);
    drawn = end;
  }
  pen.globalAlpha = 1;
}

const lookOf = (schedule, op) => kindOf(op) * SHADES + schedule.shade[stageOf(op)];

/// Whether boxes are so narrow that their borders would make patterns of their own.
function isDense(schedule, [low, high], scale, view) {
  if (high - low < 2) return false;
  const from = Math.max(schedule.start[low], view.from);
  const to = Math.min(schedule.end[high - 1], view.to);
  return (scale.x(to) - scale.x(from)) / (high - low) < 1.5;
}

/// Calls visit(op, micro-batch, x, width) for each box of an action.
function forEachBox(schedule, action, scale, visit) {
  const x = scale.x(schedule.start[action]);
  const width = scale.x(schedule.end[action]) - x;
  const pair = schedule.second[action];
  const first = pair < 0 ? width : width * schedule.pairs.share[pair] / 1000;
  visit(schedule.op[action], schedule.mb[action], x, first);
  if (pair >= 0) visit(schedule.pairs.op[pair], schedule.pairs.mb[pair], x + first, width - first);
}

function drawActions(pen, schedule, rank, [low, high], scale, paints, showsPath) {
  const y = scale.y(rank);
  const size = Math.min(12, Math.floor(scale.box * 0.7));
  pen.font = size + 'px ' + FONT;
  pen.textAlign = 'center';
  pen.textBaseline = 'middle';
  for (let action = low; action < high; ++action) {
    pen.globalAlpha = showsPath && !schedule.onPath[action] ? 0.25 : 1;
    forEachBox(schedule, action, scale, (op, mb, x, width) => {
      const look = lookOf(schedule, op);
      pen.fillStyle = paints.fill[look];
      pen.fillRect(x, y, Math.max(width, 0.5), scale.box);
      if (width < 4) return;
      pen.strokeStyle = paints.fill[look ^ 1];
      pen.lineWidth = width < 9 ? 0.5 : 1;
      pen.strokeRect(x + 0.5, y + 0.5, width - 1, scale.box - 1);
      if (size >= 8) drawNumber(pen, op, mb, x, y, width, scale, paints.number[look], size);
    });
    if (schedule.second[action] >= 0) outline(pen, schedule, action, scale, paints.ink, 1.6);
  }
  pen.globalAlpha = 1;
}

function drawNumber(pen, op, mb, x, y, width, scale, ink, size) {
  // A box that runs out of sight has its number where it is seen.
  const from = Math.max(x, scale.left);
  const room = Math.min(x + width, scale.right) - from;
  const text = String(mb);
  const need = (of) => text.length * of * 0.62 + 3;
  if (room < need(SMALL)) return;
  const isSmall = room < need(size);
  if (isSmall) pen.font = SMALL + 'px ' + FONT;
  pen.fillStyle = ink;
  pen.fillText(room > need(size) + size * 1.4 ? LETTERS[kindOf(op)] + text : text, from + room / 2,
    y + scale.box / 2 + 0.5);
  if (isSmall) pen.font = size + 'px ' + FONT;
}

/// Each column shows what shares of its time the kinds have, one above another.
function drawDense(pen, schedule, rank, [low, high], scale, paints, isFaint) {
  const columns = Math.ceil((scale.right - scale.left) / COLUMN);
  const looks = paints.fill.length;
  const share = new Float32Array(columns * looks);
  for (let action = low; action < high; ++action)
    forEachBox(schedule, action, scale, (op, mb, x, width) => {
      const look = lookOf(schedule, op);
      const end = Math.min((x + width - scale.left) / COLUMN, columns);
      for (let at = Math.max((x - scale.left) / COLUMN, 0); at < end;) {
        const column = Math.floor(at);
        const next = Math.min(column + 1, end);
        share[column * looks + look] += next - at;
        at = next;
      }
    });
  const height = Math.round(scale.box);
  const image = new ImageData(columns, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let column = 0; column < columns; ++column)
    for (let look = 0, part = 0, row = 0; look < looks; ++look) {
      part += share[column * looks + look];
      for (const end = Math.round(part * height); row < end; ++row)
        pixels[row * columns + column] = paints.pixel[look];
    }
  const strip = new OffscreenCanvas(columns, height);
  strip.getContext('2d').putImageData(image, 0, 0);
  pen.globalAlpha = isFaint ? 0.25 : 1;
  pen.imageSmoothingEnabled = false;
  pen.drawImage(strip, scale.left, scale.y(rank), columns * COLUMN, scale.box);
  pen.globalAlpha = 1;
}

function drawMemory(pen, schedule, rank, scale, view, paints) {
  const {at, value} = schedule.live[rank];
  const floor = scale.y(rank) + scale.box + 2 + scale.memory;
  const height = (live) => floor - scale.memory * live / view.mostLive;
  let i = Math.max(0, firstThat(0, at.length, (k) => at[k] > view.from) - 1);
  if (i >= at.length) return;
  let live = at[i] <= view.from ? value[i] : 0;
  const end = Math.min(scale.x(schedule.step), scale.right);
  pen.beginPath();
  pen.moveTo(scale.left, floor);
  pen.lineTo(scale.left, height(live));
  for (; i < at.length && at[i] <= view.to; ++i) {
    const x = Math.max(scale.x(at[i]), scale.left);
    pen.lineTo(x, height(live));
    // Changes within half a pixel are one, as high as its highest.
    let most = value[i];
    while (i + 1 < at.length && scale.x(at[i + 1]) < x + 0.5) most = Math.max(most, value[++i]);
    pen.lineTo(x, height(most));
    live = value[i];
  }
  pen.lineTo(end, height(live));
  pen.lineTo(end, floor);
  pen.fillStyle = paints.memory;
  pen.fill();
  pen.strokeStyle = paints['memory-line'];
  pen.lineWidth = 0.6;
  pen.stroke();
}

function outline(pen, schedule, action, scale, colour, width) {
  const x = scale.x(schedule.start[action]);
  const end = scale.x(schedule.end[action]);
  if (end - x < 3) return;
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.strokeRect(x + width / 2, scale.y(schedule.rankOf[action]) + width / 2, end - x - width,
    scale.box - width);
}

/// Outlines the actions of the path, and joins those of different ranks.
function drawPath(pen, schedule, scale, view, paints) {
  pen.strokeStyle = pen.fillStyle = paints.accent;
  pen.lineWidth = 1.5;
  const middle = (action) => scale.y(schedule.rankOf[action]) + scale.box / 2;
  let before = -1;
  for (const node of schedule.path) {
    if (node < 0) continue;
    if (schedule.end[node] >= view.from && schedule.start[node] <= view.to) {
      outline(pen, schedule, node, scale, paints.accent, 2);
      if (scale.x(schedule.end[node]) - scale.x(schedule.start[node]) < 3)
        pen.fillRect(scale.x(schedule.start[node]), scale.y(schedule.rankOf[node]), 1.5, scale.box);
    }
    if (before >= 0 && schedule.rankOf[before] !== schedule.rankOf[node] &&
        schedule.start[node] >= view.from && schedule.end[before] <= view.to)
      line(pen, [scale.x(schedule.end[before]), middle(before)],
        [scale.x(schedule.start[node]), middle(node)]);
    before = node;
  }
}

function line(pen, [x, y], [toX, toY]) {
  pen.beginPath();
  pen.moveTo(x, y);
  pen.lineTo(toX, toY);
  pen.stroke();
  pen.beginPath();
  pen.arc(toX, toY, 2.5, 0, 2 * Math.PI);
  pen.fill();
}

/// An item, framed, with a line to it from what blocked it.
function drawMark(pen, schedule, item, scale, paints) {
  pen.clearRect(0, 0, scale.width, scale.height);
  if (!item) return;
  pen.save();
  pen.beginPath();
  pen.rect(scale.left - 2, 0, scale.right - scale.left + 4, scale.height);
  pen.clip();
  const [start, end] = spanOf(schedule, item);
  const y = scale.y(item.rank);
  pen.strokeStyle = pen.fillStyle = paints.accent;
  for (const blocker of blockersOf(schedule, item)) {
    const from = homeOf(schedule, blocker);
    outline(pen, schedule, from, scale, paints.accent, 2);
    pen.lineWidth = 1.5;
    pen.setLineDash([5, 3]);
    line(pen, [scale.x(schedule.end[from]), scale.y(schedule.rankOf[from]) + scale.box / 2],
      [scale.x(item.action === undefined ? end : start), y + scale.box / 2]);
    pen.setLineDash([]);
  }
  pen.strokeStyle = paints.focus;
  pen.lineWidth = 2.5;
  const x = scale.x(start);
  pen.strokeRect(x - 1, y - 1, Math.max(scale.x(end) - x, 1) + 2, scale.box + 2);
  pen.restore();
}

