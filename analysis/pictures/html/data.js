// What the page shows, unpacked from its JSON block into flat arrays.

// Entry by entry: a schedule's actions of rank r are first[r] … first[r + 1] − 1, and the bubbles
// before action a of rank r are slot[a + r] … slot[a + r + 1] − 1; those of the drain come where an
// action after its last one would be.
function unpack(packed) {
  const count = packed.op.length;
  const schedule = {
    ...packed,
    count,
    start: new Float64Array(count),
    end: new Float64Array(count),
    rankOf: new Int32Array(count),
    second: new Int32Array(count).fill(-1),   // entry in `pairs` of an F&B pair
    slot: new Int32Array(count + packed.ranks + 1),
    onPath: new Uint8Array(count),
  };
  packed.pairs.action.forEach((action, pair) => { schedule.second[action] = pair; });
  for (const node of packed.path) if (node >= 0) schedule.onPath[node] = 1;
  unpackTimes(schedule);
  schedule.live = Array.from({length: packed.ranks}, (_, rank) => liveCurve(schedule, rank));
  schedule.mostLive = largest(schedule.live.map((curve) => largest(curve.value)));
  return schedule;
}

function unpackTimes(schedule) {
  const bubbles = schedule.cause.length;
  schedule.bubbleStart = new Float64Array(bubbles);
  schedule.bubbleRank = new Int32Array(bubbles);
  schedule.bubbleSlot = new Int32Array(bubbles);
  let bubble = 0;
  for (let rank = 0; rank < schedule.ranks; ++rank) {
    let time = 0;
    // Bubbles fill a gap from its begin to its end.
    const fill = (slot, until) => {
      schedule.slot[slot] = bubble;
      while (bubble < bubbles && time < until) {
        schedule.bubbleStart[bubble] = time;
        schedule.bubbleRank[bubble] = rank;
        schedule.bubbleSlot[bubble] = slot;
        time += schedule.length[bubble++];
      }
      schedule.slot[slot + 1] = bubble;
      time = until;
    };
    const [begin, end] = [schedule.first[rank], schedule.first[rank + 1]];
    for (let action = begin; action < end; ++action) {
      fill(action + rank, time + schedule.gap[action]);
      schedule.rankOf[action] = rank;
      schedule.start[action] = time;
      time = schedule.end[action] = time + schedule.time[action];
    }
    fill(end + rank, begin < end ? schedule.step : 0);
  }
}

const KINDS = 4;
const LETTERS = 'FIWB';
const LIVE_CHANGE = [1, 0, -1, -1];
const kindOf = (op) => op % KINDS;
const stageOf = (op) => Math.floor(op / KINDS);

/// Its op, or a pair's two: [op, micro-batch].
function opsOf(schedule, action) {
  const ops = [[schedule.op[action], schedule.mb[action]]];
  const pair = schedule.second[action];
  if (pair >= 0) ops.push([schedule.pairs.op[pair], schedule.pairs.mb[pair]]);
  return ops;
}

/// From at[i] on, value[i] activations are live, of bytes[i] where those are known.
function liveCurve(schedule, rank) {
  const curve = {at: [], value: [], bytes: []};
  let live = 0;
  let bytes = 0;
  for (let action = schedule.first[rank]; action < schedule.first[rank + 1]; ++action)
    for (const [op] of opsOf(schedule, action)) {
      const change = LIVE_CHANGE[kindOf(op)];
      live += change;
      bytes += schedule.activation.length ? schedule.activation[op] : 0;
      if (change === 0 && !schedule.activation.length) continue;
      const at = change > 0 ? schedule.start[action] : schedule.end[action];
      if (curve.at.at(-1) !== at) curve.at.push(at), curve.value.push(0), curve.bytes.push(0);
      curve.value[curve.value.length - 1] = live;
      curve.bytes[curve.bytes.length - 1] = bytes;
    }
  return curve;
}

const largest = (numbers) => numbers.reduce((most, each) => Math.max(most, each), 0);

/// The first index in begin … end for which `is` holds, as it does for all after it; else end.
function firstThat(begin, end, is) {
  while (begin < end) {
    const middle = (begin + end) >> 1;
    if (is(middle)) end = middle; else begin = middle + 1;
  }
  return begin;
}

/// What a rank does at a time: {action}, {bubble}, or null outside the step.
function itemAt(schedule, rank, time) {
  const [begin, end] = [schedule.first[rank], schedule.first[rank + 1]];
  if (time < 0 || time >= schedule.step || begin === end) return null;
  const action = firstThat(begin, end, (i) => schedule.end[i] > time);
  if (action < end && schedule.start[action] <= time) return {action, rank};
  const [low, high] = [schedule.slot[action + rank], schedule.slot[action + rank + 1]];
  const bubble = firstThat(low, high, (i) => schedule.bubbleStart[i] + schedule.length[i] > time);
  return bubble < high ? {bubble, rank} : null;
}

/// The box or bubble after an item of its rank (`by` 1), or before it (−1); null at the ends.
function neighbour(schedule, item, by) {
  const rank = item.rank;
  const isAction = item.action !== undefined;
  const slot = isAction ? item.action + rank + (by > 0 ? 1 : 0) : schedule.bubbleSlot[item.bubble];
  const [low, high] = [schedule.slot[slot], schedule.slot[slot + 1]];
  const bubble = isAction ? (by > 0 ? low : high - 1) : item.bubble + by;
  if (low <= bubble && bubble < high) return {bubble, rank};
  const action = by > 0 ? slot - rank : slot - rank - 1;
  const isThere = schedule.first[rank] <= action && action < schedule.first[rank + 1];
  return isThere ? {action, rank} : null;
}

/// What a bubble waits for, or the last bubble before an action: all that end last together.
function blockersOf(schedule, item) {
  const slot = item.action + item.rank;
  const bubble = item.bubble ?? schedule.slot[slot + 1] - 1;
  if (item.bubble === undefined && bubble < schedule.slot[slot]) return [];
  const blocker = schedule.blocker[bubble];
  return blocker === null ? [] : Array.isArray(blocker) ? blocker : [blocker];
}

/// The action that a node is, or that makes what it carries.
const homeOf = (schedule, node) => (node >= 0 ? node : schedule.messages[-1 - node].producer);

function spanOf(schedule, item) {
  if (item.action !== undefined) return [schedule.start[item.action], schedule.end[item.action]];
  const start = schedule.bubbleStart[item.bubble];
  return [start, start + schedule.length[item.bubble]];
}
