// What is told of actions, bubbles and messages. Everything here ends up as text, never as markup.

/// Exact: `nanoseconds` is whole.
function timeWords(nanoseconds, longest) {
  const [size, unit, digits] = longest >= 1e10 ? [1e9, 's', 3] : longest >= 1e7 ? [1e6, 'ms', 3] :
    longest >= 1e4 ? [1e3, 'µs', 3] : [1, 'ns', 0];
  return (nanoseconds / size).toFixed(digits) + ' ' + unit;
}

function byteWords(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
  let unit = 0;
  for (; Math.abs(bytes) >= 1023.95 && unit + 1 < units.length; ++unit) bytes /= 1024;
  return bytes.toFixed(unit ? 1 : 0) + ' ' + units[unit];
}

const opWords = (op, mb) => LETTERS[kindOf(op)] + mb + ' of stage ' + stageOf(op);

function actionWords(schedule, action) {
  return opsOf(schedule, action).map(([op, mb]) => opWords(op, mb)).join(' & ');
}

/// "B0 of stage 3 on rank 3": of an action, or of a message, whose numbers are below 0.
function nodeWords(schedule, node) {
  if (node >= 0) return actionWords(schedule, node) + ' on rank ' + schedule.rankOf[node];
  const m = schedule.messages[-1 - node];
  return (kindOf(m.op) === 0 ? 'the activation of ' : 'the gradient of ') + opWords(m.op, m.mb) +
    ', a message from rank ' + m.from + ' to rank ' + m.to;
}

/// Of several that end together, the first few.
function blockerWords(schedule, bubble) {
  const all = blockersOf(schedule, {bubble}).map((node) => nodeWords(schedule, node));
  const most = 4;
  return all.slice(0, most).join(' and ') +
    (all.length > most ? ' and ' + (all.length - most) + ' more' : '');
}

function bubbleCause(schedule, bubble, causes) {
  const blockers = blockerWords(schedule, bubble);
  return causes[schedule.cause[bubble]].words + (blockers && ', for ' + blockers);
}

/// The lines of a tooltip; the first is its title.
function itemWords(schedule, item, causes) {
  const time = (t) => timeWords(t, schedule.step);
  const [start, end] = spanOf(schedule, item);
  const when = 'rank ' + item.rank + ' · ' + time(start) + ' to ' + time(end) + ' · lasts ' +
    time(end - start);
  if (item.bubble !== undefined) {
    const lines = ['idle: ' + causes[schedule.cause[item.bubble]].words, when];
    const blockers = blockerWords(schedule, item.bubble);
    if (blockers) lines.push('waits for ' + blockers);
    const next = schedule.bubbleSlot[item.bubble] - item.rank;
    if (next < schedule.first[item.rank + 1])
      lines.push('before ' + actionWords(schedule, next));
    return lines;
  }
  const lines = [actionWords(schedule, item.action), when];
  const slot = item.action + item.rank;
  for (let bubble = schedule.slot[slot]; bubble < schedule.slot[slot + 1]; ++bubble)
    lines.push('idle before it: ' + time(schedule.length[bubble]) + ', ' +
      bubbleCause(schedule, bubble, causes));
  if (schedule.slot[slot] === schedule.slot[slot + 1]) lines.push('no idle time before it');
  lines.push(liveWords(schedule, item.rank, start));
  if (schedule.onPath[item.action]) lines.push('on the critical path');
  return lines;
}

function liveWords(schedule, rank, time) {
  const curve = schedule.live[rank];
  const at = firstThat(0, curve.at.length, (i) => curve.at[i] > time) - 1;
  const live = at < 0 ? 0 : curve.value[at];
  return live + ' live activation' + (live === 1 ? '' : 's') +
    (schedule.activation.length ? ', ' + byteWords(at < 0 ? 0 : curve.bytes[at]) : '') +
    ' as it starts';
}

/// Round steps of 1, 2 or 5 times a power of ten.
function tickStep(range, most) {
  for (let power = 10 ** Math.max(0, Math.floor(Math.log10(range / most)) - 1); ; power *= 10)
    for (const factor of [1, 2, 5])
      if (range / (factor * power) <= most) return factor * power;
}

function tickWords(tick, longest, step) {
  if (tick === 0) return '0';
  const [size, unit] = longest >= 2e9 ? [1e9, 's'] : longest >= 2e6 ? [1e6, 'ms'] :
    longest >= 2e3 ? [1e3, 'µs'] : [1, 'ns'];
  const digits = Math.max(0, Math.ceil(Math.log10(size / step) - 1e-9));
  return (tick / size).toFixed(digits) + ' ' + unit;
}
