// The same figures as tables, for those who do not look at pictures.

const ROWS = 1000;  // on a page

function element(name, text, attributes) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  return made;
}

/// A table of texts; `columns` are [header, is text].
function makeTable(caption, columns, rows) {
  const table = element('table');
  table.append(element('caption', caption));
  const head = element('tr');
  for (const [header, isText] of columns)
    head.append(element('th', header, {scope: 'col', ...(isText && {class: 'text'})}));
  const section = element('thead');
  section.append(head);
  const body = element('tbody');
  for (const row of rows) {
    const made = element('tr');
    row.forEach((cell, i) =>
      made.append(element(i ? 'td' : 'th', cell,
        {...(i === 0 && {scope: 'row'}), ...(columns[i][1] && {class: 'text'})})));
    body.append(made);
  }
  table.append(section, body);
  const scroll = element('div', undefined, {class: 'scroll'});
  scroll.append(table);
  return scroll;
}

function rankTable(schedule, causes) {
  const used = causes.map((_, cause) => cause).filter((cause) => schedule.cause.includes(cause));
  const rows = [];
  for (let rank = 0; rank < schedule.ranks; ++rank) {
    const idle = causes.map(() => 0);
    const [low, high] = [schedule.slot[schedule.first[rank] + rank],
      schedule.slot[schedule.first[rank + 1] + rank + 1]];
    for (let i = low; i < high; ++i) idle[schedule.cause[i]] += schedule.length[i];
    const all = idle.reduce((sum, each) => sum + each, 0);
    const time = (t) => timeWords(t, schedule.step);
    rows.push([rank, time(schedule.step - all), time(all),
      ...used.map((cause) => time(idle[cause])), largest(schedule.live[rank].value)]);
  }
  return makeTable(schedule.name + ': ranks',
    [['rank'], ['busy'], ['idle'], ...used.map((cause) => [causes[cause].words]),
      ['most live activations']], rows);
}

function actionTable(schedule, rank, page, causes) {
  const begin = schedule.first[rank] + page * ROWS;
  const end = Math.min(schedule.first[rank + 1], begin + ROWS);
  const time = (t) => timeWords(t, schedule.step);
  const rows = [];
  for (let action = begin; action < end; ++action) {
    const reasons = [];
    let idle = 0;
    for (let i = schedule.slot[action + rank]; i < schedule.slot[action + rank + 1]; ++i) {
      idle += schedule.length[i];
      reasons.push(bubbleCause(schedule, i, causes));
    }
    rows.push([action - schedule.first[rank] + 1, actionWords(schedule, action),
      time(schedule.start[action]), time(schedule.end[action]),
      time(schedule.end[action] - schedule.start[action]), time(idle), reasons.join('; ') || '–']);
  }
  return makeTable(schedule.name + ': actions of rank ' + rank,
    [['#'], ['action', true], ['start'], ['end'], ['lasts'], ['idle before'], ['because of', true]],
    rows);
}

function choice(words, options) {
  const label = element('label', words + ' ');
  const select = element('select');
  options.forEach((option, i) => select.append(element('option', option, {value: i})));
  label.append(select);
  return [label, select];
}

/// Fills `place` once; its choices change what it shows.
function showTables(place, schedules, causes) {
  const [scheduleLabel, schedule] = choice('Schedule', schedules.map((each) => each.name));
  const [rankLabel, rank] = choice('Rank', []);
  const [pageLabel, page] = choice('Actions', []);
  const shown = element('div');
  const refill = (select, options) => select.replaceChildren(
    ...options.map((option, i) => element('option', option, {value: i})));
  const chosen = () => schedules[schedule.value];
  const show = () => shown.replaceChildren(
    rankTable(chosen(), causes), actionTable(chosen(), +rank.value, +page.value, causes));
  const showRank = () => {
    const count = chosen().first[+rank.value + 1] - chosen().first[+rank.value];
    const pages = Array.from({length: Math.max(1, Math.ceil(count / ROWS))},
      (_, i) => (i * ROWS + 1) + ' … ' + Math.min(count, (i + 1) * ROWS));
    refill(page, pages);
    pageLabel.hidden = pages.length < 2;
    show();
  };
  const showSchedule = () => {
    refill(rank, Array.from({length: chosen().ranks}, (_, i) => String(i)));
    showRank();
  };
  schedule.addEventListener('change', showSchedule);
  rank.addEventListener('change', showRank);
  page.addEventListener('change', show);
  scheduleLabel.hidden = schedules.length < 2;
  place.replaceChildren(scheduleLabel, rankLabel, pageLabel, shown);
  showSchedule();
}
